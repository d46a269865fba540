//! What each operation of a client does.

use serde_json::json;

use super::{ConnectionId, Server};
use crate::connection::{Connection, Greeting};
use crate::json;
use crate::operation::Operation;
use crate::options::Permissions;
use crate::subject::is_valid;

impl Server {
    pub(super) fn operate(&mut self, id: ConnectionId, operation: Operation<'_>) {
        let needs_greeting = !self.options.users.is_empty() && self.options.no_auth_user.is_none();
        let is_accepted = self.connections.get(&id).is_some_and(|connection| connection.accepted);
        if needs_greeting && !is_accepted && !matches!(operation, Operation::Connect(_) | Operation::Nothing) {
            return self.close_with(id, "Authorization Violation");
        }
        match operation {
            Operation::Connect(text) => self.on_connect(id, text),
            Operation::Ping => self.on_ping(id),
            Operation::Subscribe { subject, queue, sid } => self.on_subscribe(id, &subject, queue.as_deref(), sid),
            Operation::Unsubscribe { sid, max } => {
                self.interest.unsubscribe(&(id, sid), max);
                self.with_connection(id, Connection::send_ok);
            }
            Operation::Publish(publish) => self.on_publish(id, &publish),
            Operation::Pong | Operation::Nothing => {}
        }
    }

    pub(super) fn with_connection(&mut self, id: ConnectionId, work: impl FnOnce(&mut Connection)) {
        if let Some(connection) = self.connections.get_mut(&id) {
            work(connection);
        }
    }

    fn on_connect(&mut self, id: ConnectionId, text: &[u8]) {
        let Ok(greeting) = serde_json::from_slice::<Greeting>(text) else {
            // The server hangs up without a word.
            return self.close_with(id, None);
        };
        let Some((user, permissions)) = self.authenticate(&greeting) else {
            return self.close_with(id, "Authorization Violation");
        };
        if greeting.no_responders && !greeting.headers {
            return self.close_with(id, "no responders requires headers support");
        }
        self.with_connection(id, |connection| {
            connection.greeting = greeting;
            connection.accepted = true;
            connection.user = user;
            connection.permissions = permissions;
            connection.send_ok();
        });
    }

    /// Whom a client is, and what it may do; `None` when it is nobody.
    fn authenticate(&self, greeting: &Greeting) -> Option<(Option<String>, Permissions)> {
        if self.options.users.is_empty() {
            return Some((None, Permissions::default()));
        }
        let (name, is_named) = match &greeting.user {
            Some(name) => (name, true),
            None => (self.options.no_auth_user.as_ref()?, false),
        };
        let user = self.options.users.get(name)?;
        let knows = !is_named || greeting.pass.as_deref().unwrap_or_default() == user.password;
        knows.then(|| (Some(name.clone()), user.permissions.clone()))
    }

    fn on_ping(&mut self, id: ConnectionId) {
        let info = self.info(id, true);
        self.with_connection(id, |connection| {
            connection.send(b"PONG\r\n");
            let is_first = connection.accepted && !std::mem::replace(&mut connection.informed, connection.accepted);
            if is_first && connection.greeting.protocol >= 1 {
                connection.send(&info);
            }
        });
    }

    fn on_subscribe(&mut self, id: ConnectionId, subject: &str, queue: Option<&str>, sid: String) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !connection.permissions.subscribe.permit(subject) {
            let group = queue.map_or_else(String::new, |queue| format!(" using queue \"{queue}\""));
            return connection.send_error(&format!("Permissions Violation for Subscription to \"{subject}\"{group}"));
        }
        // A second subscription of this id is passed over, whatever it asks for.
        let is_known = self.interest.get(&(id, sid.clone())).is_some();
        if !is_known && !is_valid(subject) {
            return connection.send_error("Invalid Subject");
        }
        connection.send_ok();
        self.interest.add((id, sid), subject, queue);
    }

    /// INFO; again after the first PING of a client, which has then been connected.
    pub(super) fn info(&self, id: ConnectionId, is_connected: bool) -> Vec<u8> {
        let options = &self.options;
        let mut info = json!({
            "server_id": options.server_name, "server_name": options.server_name, "version": options.version,
            "proto": 1, "go": "go", "host": "127.0.0.1", "port": 4222, "headers": true,
            "max_payload": options.max_payload, "jetstream": true, "client_id": id.0, "client_ip": "127.0.0.1",
        });
        if !options.users.is_empty() {
            info["auth_required"] = json!(true);
        }
        if is_connected {
            info["connect_info"] = json!(true);
            info["remote_account"] = json!("$G");
        }
        [b"INFO ", &json::to_bytes(&info)[..], b" \r\n"].concat()
    }
}
