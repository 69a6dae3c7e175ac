//! What is sent.

use hookproof_core::identity::GrantId;
use hookproof_runtime::client::{TargetError, Token};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;

/// The one request that a client with `config` sends.
async fn sent(edit: impl FnOnce(&mut ClientConfig), call: Call) -> Request {
    let service = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(204)).mount(&service).await;
    let mut config = config(&service.uri());
    edit(&mut config);
    assert_eq!(end(&client(config), call).await, status(204, Body::WellFormed));
    let mut requests = service.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1, "a call is one request");
    let request = requests.remove(0);
    assert_eq!(header(&request, "host"), Some(&*service.address().to_string()));
    request
}

fn header<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    let mut values = request.headers.get_all(name).iter();
    let value = values.next()?;
    assert!(values.next().is_none(), "{name} is there once");
    Some(value.to_str().unwrap())
}

#[tokio::test]
async fn a_post_carries_its_key_as_a_quoted_string_and_its_body_to_the_byte() {
    let request = sent(|_| {}, call(Ask::Apply)).await;
    assert_eq!((request.method.as_str(), request.url.path()), ("POST", "/increase_quota"));
    assert_eq!(header(&request, "idempotency-key"), Some(&*format!("\"{KEY}\"")));
    assert_eq!(header(&request, "if-none-match"), None);
    assert_eq!(header(&request, "content-type"), Some("application/json"));
    assert_eq!(header(&request, "content-length"), Some("28"));
    assert_eq!(header(&request, "transfer-encoding"), None);
    assert_eq!(header(&request, "authorization"), None);
    assert_eq!(request.body, b"{\"user_id\":\"ann\",\"units\":25}");
}

#[tokio::test]
async fn a_put_has_its_id_in_the_path_and_must_be_the_first() {
    let request = sent(|config| config.capability = Capability::PutById, call(Ask::Apply)).await;
    assert_eq!((request.method.as_str(), request.url.path()), ("PUT", &*format!("/grants/{KEY}")));
    assert_eq!(header(&request, "if-none-match"), Some("*"));
    assert_eq!(header(&request, "idempotency-key"), None);
    assert_eq!(header(&request, "content-type"), Some("application/json"));
    assert_eq!(request.body, b"{\"user_id\":\"ann\",\"units\":25}");
}

#[tokio::test]
async fn a_read_has_no_body_and_no_key_whatever_the_service_offers() {
    for capability in [KEYED, Capability::PutById, Capability::ReadBack { lag: SHORT }, Capability::None] {
        let request = sent(|config| config.capability = capability, call(Ask::Read)).await;
        assert_eq!((request.method.as_str(), request.url.path()), ("GET", &*format!("/grants/{KEY}")));
        for absent in ["idempotency-key", "if-none-match", "content-type"] {
            assert_eq!(header(&request, absent), None, "{absent}");
        }
        assert!(request.body.is_empty());
    }
}

#[tokio::test]
async fn the_urls_path_comes_before_the_protocols() {
    for base in ["/quota/v2", "/quota/v2/"] {
        let request = sent(|config| config.url.set_path(base), call(Ask::Apply)).await;
        assert_eq!(request.url.path(), "/quota/v2/increase_quota");
    }
}

#[tokio::test]
async fn the_token_is_borne_and_not_shown() {
    let token = Token::new("a-token").unwrap();
    let service_config = |config: &mut ClientConfig| config.token = Some(token);
    let request = sent(service_config, call(Ask::Apply)).await;
    assert_eq!(header(&request, "authorization"), Some("Bearer a-token"));
    let config = ClientConfig { token: Some(Token::new("a-token").unwrap()), ..config("http://localhost") };
    assert!(!format!("{config:?} {:?}", client(config.clone())).contains("a-token"));
    assert!(Token::new("a-token\r\nX-Smuggled: 1").is_err());
}

#[tokio::test]
async fn the_trace_is_the_visits_own_or_follows_from_it_or_from_the_grant() {
    let own = "4bf92f3577b34da6a3ce929d0e0e4736";
    let of_grant = KEY.replace('-', "");
    let nil = "0".repeat(32);
    let cases: [(Option<&str>, Option<&str>); 5] = [
        (Some(own), Some(own)),
        (None, Some(&of_grant)),
        (Some("visit-1"), None),
        (Some(&nil), None),
        (Some("é\n"), None),
    ];
    for (correlation, expected) in cases {
        let with = Call { correlation: correlation.map(Into::into), ..call(Ask::Apply) };
        let request = sent(|_| {}, with.clone()).await;
        let trace = header(&request, "traceparent").unwrap();
        let [version, trace_id, parent, flags] = trace.split('-').collect::<Vec<_>>()[..] else { panic!("{trace}") };
        assert_eq!((version, parent, flags), ("00", "0000000000000003", "01"), "the parent is the attempt");
        assert!(trace_id.len() == 32 && trace_id != nil && trace_id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(expected.is_none_or(|expected| expected == trace_id), "{correlation:?}: {trace_id}");
        let again = sent(|_| {}, with).await;
        assert_eq!(header(&again, "traceparent"), Some(trace));
    }
}

#[tokio::test]
async fn any_user_id_is_json_and_no_header() {
    let user = "a\"b\\c\r\nX-Smuggled: 1\u{1F600}";
    let request = sent(|_| {}, Call { user: user.into(), ..call(Ask::Apply) }).await;
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body, serde_json::json!({"user_id": user, "units": 25}));
    assert_eq!(header(&request, "x-smuggled"), None);
}

#[test]
fn what_is_no_url_of_a_service_is_refused() {
    let refusal = |url: &str| {
        let config = config(url);
        Client::new(config, trust(Roots::None).unwrap()).err()
    };
    assert!(matches!(refusal("ftp://localhost"), Some(TargetError::Scheme(_))));
    assert!(matches!(refusal("unix:/run/quota"), Some(TargetError::Scheme(_))));
    assert_eq!(refusal("http://ann:secret@localhost"), Some(TargetError::Credentials));
    assert!(matches!(refusal("http://localhost/?a=b"), Some(TargetError::Query(_))));
    assert!(matches!(refusal("http://localhost/#a"), Some(TargetError::Query(_))));
    assert_eq!(refusal("http://[::1]:80/x"), None);
}

#[test]
fn link_local_addresses_are_refused_however_they_are_written_unless_they_are_allowed() {
    for host in [
        "169.254.169.254",
        "169.254.169.254.",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
    ] {
        let config = config(&format!("http://{host}/latest"));
        let refused = Client::new(config.clone(), trust(Roots::None).unwrap()).err();
        assert!(matches!(refused, Some(TargetError::LinkLocal(_))), "{host}: {refused:?}");
        client(ClientConfig { allow_link_local: true, ..config });
    }
}

#[test]
fn the_environments_proxy_is_not_used() {
    // These tests again, in an environment whose proxy is a port at which nobody listens.
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["requests::a_"]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, "http://127.0.0.1:9");
    }
    let output = child.env_remove("no_proxy").env_remove("NO_PROXY").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("3 passed"), "{said}");
}

#[test]
fn the_key_here_is_the_grants_id() {
    assert_eq!(call(Ask::Apply).request.key.to_string(), KEY);
    assert_eq!(call(Ask::Apply).request.grant, GrantId::from_bytes(*call(Ask::Apply).request.key.as_bytes()));
}
