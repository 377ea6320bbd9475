//! As much of HTTP/1.1 as who watches a broker needs: a head is read, one answer is given, the connection is closed.
//!
//! ```text
//!   GET /metrics     the page                GET /healthz   200, or 503 and which shard is stuck
//!   GET /readyz      200, or 503 and why not
//!   HEAD             the same without its body          other methods 405, other paths 404, other words 400
//! ```

use std::fmt::Write as _;

use super::text;

/// A head that is longer is refused (431).
pub(crate) const HEAD_BYTES_MAX: usize = 8 << 10;
/// Lines of a head.
const HEADERS_MAX: usize = 64;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// The page for Prometheus.
    Metrics,
    /// Whether the process lives and its shards turn.
    Healthz,
    /// Whether clients are served.
    Readyz,
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: Path,
    /// HEAD: without the body.
    pub(crate) is_head: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
    /// A line of the head more.
    extra: &'static str,
}

const PLAIN: &str = "text/plain; charset=utf-8";

impl Answer {
    /// The page.
    pub(crate) fn page(body: String) -> Self {
        Self { status: "200 OK", content_type: text::CONTENT_TYPE, body, extra: "" }
    }

    /// Everything is well, or `reasons` why not.
    pub(crate) fn health(reasons: &[String]) -> Self {
        let (status, body) = match reasons {
            [] => ("200 OK", "ok\n".to_owned()),
            _ => ("503 Service Unavailable", reasons.join("\n") + "\n"),
        };
        Self { status, content_type: PLAIN, body, extra: "" }
    }

    /// A refusal.
    pub(crate) fn refused(status: &'static str, words: &str) -> Self {
        Self { status, content_type: PLAIN, body: format!("{words}\n"), extra: "" }
    }

    /// The bytes of it.
    pub(crate) fn into_bytes(self, is_head: bool) -> Vec<u8> {
        let Self { status, content_type, body, extra } = self;
        let mut text = String::with_capacity(body.len() + 256);
        // Writing into a text cannot fail.
        let _ = write!(
            text,
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{extra}Connection: close\r\n\r\n",
            body.len()
        );
        if !is_head {
            text.push_str(&body);
        }
        text.into_bytes()
    }
}

/// Reads a head. `None`: it is not all here yet.
pub(crate) fn parse(bytes: &[u8]) -> Option<Result<Asked, Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => None,
        Ok(httparse::Status::Partial) => {
            let words = format!("the head of a request has {HEAD_BYTES_MAX} bytes at most");
            Some(Err(Answer::refused("431 Request Header Fields Too Large", &words)))
        }
        Ok(httparse::Status::Complete(_)) => {
            Some(route(request.method.unwrap_or_default(), request.path.unwrap_or_default()))
        }
        Err(error) => Some(Err(Answer::refused("400 Bad Request", &format!("this is not HTTP: {error}")))),
    }
}

fn route(method: &str, target: &str) -> Result<Asked, Answer> {
    if !matches!(method, "GET" | "HEAD") {
        let refused = Answer::refused("405 Method Not Allowed", "GET and HEAD are answered");
        return Err(Answer { extra: "Allow: GET, HEAD\r\n", ..refused });
    }
    let path = match target.split(['?', '#']).next().unwrap_or_default() {
        "/metrics" => Path::Metrics,
        "/healthz" => Path::Healthz,
        "/readyz" => Path::Readyz,
        _ => return Err(Answer::refused("404 Not Found", "here are /metrics, /healthz and /readyz")),
    };
    Ok(Asked { path, is_head: method == "HEAD" })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(bytes: &[u8]) -> String {
        match parse(bytes) {
            None => "more".to_owned(),
            Some(Ok(asked)) => format!("{asked:?}"),
            Some(Err(answer)) => {
                let text = String::from_utf8(answer.into_bytes(false)).expect("text");
                text.split("\r\n").next().unwrap_or_default().to_owned()
            }
        }
    }

    #[test]
    fn what_is_asked_is_found_and_the_rest_is_refused_with_a_word() {
        let asked = |path| format!("{:?}", Asked { path, is_head: false });
        for (bytes, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", asked(Path::Metrics)),
            ("GET /metrics?name[]=a HTTP/1.0\r\n\r\n", asked(Path::Metrics)),
            ("GET /healthz HTTP/1.1\r\n\r\n", asked(Path::Healthz)),
            ("HEAD /readyz HTTP/1.1\r\n\r\n", format!("{:?}", Asked { path: Path::Readyz, is_head: true })),
            ("GET /metri", "more".to_owned()),
            ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found".to_owned()),
            ("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed".to_owned()),
            ("\0\0\0\u{1a}\0\u{12}\0\u{3}", "HTTP/1.1 400 Bad Request".to_owned()),
            ("GET /metrics HTTP/9.9\r\n\r\n", "HTTP/1.1 400 Bad Request".to_owned()),
        ] {
            assert_eq!(status(bytes.as_bytes()), expected, "{bytes}");
        }
        let endless = format!("GET /metrics HTTP/1.1\r\nA: {}", "b".repeat(HEAD_BYTES_MAX));
        assert_eq!(status(endless.as_bytes()), "HTTP/1.1 431 Request Header Fields Too Large");
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS_MAX + 1));
        assert_eq!(status(many.as_bytes()), "HTTP/1.1 400 Bad Request");
    }

    #[test]
    fn an_answer_says_how_long_it_is_and_a_head_has_no_body() {
        let whole = Answer::page("a 1\n".to_owned()).into_bytes(false);
        let text = String::from_utf8(whole).expect("text");
        assert!(
            text.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
            "{text}"
        );
        assert!(text.ends_with("Content-Length: 4\r\nConnection: close\r\n\r\na 1\n"), "{text}");
        let head = String::from_utf8(Answer::health(&["no".to_owned()]).into_bytes(true)).expect("text");
        assert!(head.starts_with("HTTP/1.1 503 ") && head.ends_with("\r\n\r\n"), "{head}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            drop(parse(&bytes));
        }
    }
}
