//! Sends a request, and again where its answer leads, when the out asks for that.
//!
//! Followed are 301, 302, 307 and 308, with method and body kept: a GET would lose the message.
//! 303 says that the message was taken, and that its answer lies elsewhere: that is fetched with a
//! GET, and says whether it was a success (RFC 9110, 15.4.4). A redirect may
//! lead from http to https, never back; what the file configures (credentials, API keys) does not
//! go to another origin. Each address is checked when it is dialled.

use http::header::LOCATION;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::connect::capture_connection;
use message::{Code, Fault};
use tokio::time::{Instant, timeout_at};

use super::answer::{self, Answer};
use super::request::Outgoing;
use super::{HttpClient, SinkOptions};
use crate::contract::Outcome;
use crate::http::template::port;

/// The delivery's one attempt, redirects and all, within the out's timeout.
pub(super) async fn send(client: &HttpClient, options: &SinkOptions, mut outgoing: Outgoing) -> Answer {
    let deadline = Instant::now() + options.timeout;
    let origin = outgoing.url.clone();
    let mut followed = 0;
    loop {
        let mut request = request(&outgoing, same_origin(&origin, &outgoing.url));
        let captured = capture_connection(&mut request);
        let attempt = async {
            let response =
                client.request(request).await.map_err(|error| Answer::from(answer::of_error(&error, options)))?;
            let (head, body) = response.into_parts();
            if followed < options.redirects && followable(head.status) {
                return Ok((head.status, head.headers));
            }
            let outcome = answer::of_status(head.status, &head.headers, options);
            Err(Answer { status: Some(head.status), outcome: answer::finish(outcome, body, options).await })
        };
        let next = match timeout_at(deadline, attempt).await {
            Ok(Ok((status, headers))) => {
                if status == StatusCode::SEE_OTHER {
                    outgoing.leave_message();
                }
                target(&outgoing.url, &headers)
            }
            Ok(Err(answer)) => return answer,
            Err(_) => {
                let sent = captured.connection_metadata().is_some();
                return answer::of_timeout(options.timeout, sent, options).into();
            }
        };
        match next {
            Ok(url) => outgoing.url = url,
            Err(fault) => return Outcome::Permanent(fault).into(),
        }
        followed += 1;
    }
}

fn request(outgoing: &Outgoing, own_origin: bool) -> Request<Full<bytes::Bytes>> {
    let mut request = Request::new(Full::new(outgoing.payload.clone()));
    *request.method_mut() = outgoing.method.clone();
    *request.uri_mut() = outgoing.url.clone();
    // Ours win over the file's, which cannot name those that matter.
    let mut headers = if own_origin { outgoing.configured.clone() } else { HeaderMap::new() };
    headers.extend(outgoing.headers.clone());
    *request.headers_mut() = headers;
    request
}

fn followable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn same_origin(one: &Uri, other: &Uri) -> bool {
    one.scheme() == other.scheme()
        && one.host().map(str::to_ascii_lowercase) == other.host().map(str::to_ascii_lowercase)
        && port(one) == port(other)
}

/// Where the answer leads, or why it is not followed.
fn target(from: &Uri, headers: &HeaderMap) -> Result<Uri, Fault> {
    let refused = |reason: &str| Fault::new(Code::HttpRedirect, format!("the redirect {reason}"));
    let location = headers.get(LOCATION).ok_or_else(|| refused("names no Location"))?;
    let location = location.to_str().map_err(|_| refused("has an unusable Location"))?;
    let location = location.split('#').next().unwrap_or_default();
    let url = resolve(from, location).ok_or_else(|| refused("has an unusable Location"))?;
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(refused("has a user name or password"));
    }
    let upgrade = from.scheme() == Some(&Scheme::HTTP) && url.scheme() == Some(&Scheme::HTTPS);
    if url.scheme() != from.scheme() && !upgrade {
        return Err(refused("leads away from https, or to another scheme"));
    }
    Ok(url)
}

/// A reference against the URL it was found at (RFC 3986, 5.2), `None` when it is none.
fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let absolute = reference.parse().ok().filter(|url: &Uri| url.scheme().is_some() && has_host(url));
    if absolute.is_some() {
        return absolute;
    }
    let scheme = base.scheme()?.clone();
    if let Some(rest) = reference.strip_prefix("//") {
        return format!("{scheme}://{rest}").parse().ok().filter(has_host);
    }
    // `mailto:x` is absolute, and nothing we speak.
    if reference.split(['/', '?']).next().is_some_and(|start| start.contains(':')) {
        return None;
    }
    let path = if reference.starts_with('/') {
        reference.to_owned()
    } else if reference.is_empty() || reference.starts_with('?') {
        format!("{}{reference}", base.path())
    } else {
        let folder = base.path().rfind('/').map_or("/", |slash| &base.path()[..=slash]);
        format!("{folder}{reference}")
    };
    build(scheme, base.authority()?.clone(), &without_dots(&path))
}

fn has_host(url: &Uri) -> bool {
    url.host().is_some_and(|host| !host.is_empty())
}

fn build(scheme: Scheme, authority: Authority, path: &str) -> Option<Uri> {
    let path: PathAndQuery = path.parse().ok()?;
    Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().ok()
}

/// RFC 3986, 5.2.4, on the path; the query stays as it is.
fn without_dots(target: &str) -> String {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let dots = matches!(segment, "." | "..");
        if segment == ".." {
            kept.pop();
        }
        if !dots {
            kept.push(segment);
        } else if segments.peek().is_none() {
            // A path that ends in dots is that of a folder.
            kept.push("");
        }
    }
    let path = format!("/{}", kept.join("/"));
    query.map_or(path.clone(), |query| format!("{path}?{query}"))
}
