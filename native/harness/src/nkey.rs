//! NKeys, and JWTs that are signed with them, as the tools of NATS make them.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// Of an operator, an account or a user, as its first letter says.
pub struct Nkey {
    kind: u8,
    seed: [u8; 32],
    key: Ed25519KeyPair,
}

impl Nkey {
    pub fn operator() -> Nkey {
        Nkey::new(14 << 3)
    }

    pub fn account() -> Nkey {
        Nkey::new(0)
    }

    pub fn user() -> Nkey {
        Nkey::new(20 << 3)
    }

    fn new(kind: u8) -> Nkey {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).unwrap();
        Nkey { kind, seed, key: Ed25519KeyPair::from_seed_unchecked(&seed).unwrap() }
    }

    pub fn public(&self) -> String {
        encoded(&[self.kind], self.key.public_key().as_ref())
    }

    pub fn seed(&self) -> String {
        encoded(&[18 << 3 | self.kind >> 5, self.kind << 3], &self.seed)
    }

    /// A JWT that says `claims` of the one whose public key is `subject`; `more`: claims beside those, such as `exp`.
    pub fn jwt(&self, subject: &str, claims: &Value, more: &Value) -> String {
        let mut body = json!({"jti": "1", "iat": 1_700_000_000, "iss": self.public(), "name": "test", "sub": subject});
        body["nats"] = claims.clone();
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let text = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(&body));
        let signature = BASE64URL_NOPAD.encode(self.key.sign(text.as_bytes()).as_ref());
        format!("{text}.{signature}")
    }
}

fn encoded(kind: &[u8], key: &[u8]) -> String {
    let mut bytes = [kind, key].concat();
    let crc = bytes.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    });
    bytes.extend(crc.to_le_bytes());
    BASE32_NOPAD.encode(&bytes)
}

/// An operator with one account, as a server's configuration, and users of that account.
pub struct Operator {
    operator: Nkey,
    account: Nkey,
}

impl Operator {
    #[allow(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Operator {
        Operator { operator: Nkey::operator(), account: Nkey::account() }
    }

    /// For nats-server's configuration.
    pub fn server(&self) -> String {
        let operator = self.operator.public();
        let limits = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1});
        let account = |key: &str, limits: &Value| {
            self.operator.jwt(key, &json!({"limits": limits, "type": "account", "version": 2}), &json!({}))
        };
        let (ours, system) = (self.account.public(), Nkey::account().public());
        let mut of_system = limits.clone();
        of_system["mem_storage"] = json!(0);
        of_system["disk_storage"] = json!(0);
        let (of_ours, of_system) = (account(&ours, &limits), account(&system, &of_system));
        let of_operator = self.operator.jwt(&operator, &json!({"type": "operator", "version": 2}), &json!({}));
        format!(
            "operator: {of_operator}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {ours}: {of_ours}, {system}: {of_system} }}\n"
        )
    }

    /// A creds file of a new user; `more`: claims of its JWT, such as `exp`.
    pub fn creds(&self, more: &Value) -> String {
        let user = Nkey::user();
        let claims = json!({"subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2});
        let jwt = self.account.jwt(&user.public(), &claims, more);
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            user.seed()
        )
    }
}
