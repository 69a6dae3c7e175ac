//! Services behind TLS.

use std::sync::Arc;

use hookproof_runtime::sidecar::operator::Operator;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::service::{ANSWER, Service, hang, read_request, write};
use super::*;

/// A certificate for `name` that vouches for itself, in PEM, and a service that has it.
struct Identity {
    pem: String,
    acceptor: TlsAcceptor,
}

fn identity(name: &str) -> Identity {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    Identity { pem: cert.pem(), acceptor: TlsAcceptor::from(Arc::new(server)) }
}

/// How a service ends a connection.
#[derive(Clone, Copy)]
enum End {
    Properly,
    CutOff,
}

/// Answers each request with `answer`.
async fn service(acceptor: &TlsAcceptor, answer: &'static str, end: End) -> Service {
    let acceptor = acceptor.clone();
    Service::start(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            // A client that does not trust it ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            read_request(&mut stream).await;
            write(&mut stream, answer.as_bytes()).await;
            if let End::Properly = end {
                let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
            }
        }
    })
    .await
}

/// What a client makes of it that trusts `pem` and asks under `host`.
async fn asked(service: &Service, host: &str, pem: &str) -> Answer {
    let url = service.url.replace("http://127.0.0.1", &format!("https://{host}"));
    let client = Client::new(config(&url), trust(Roots::Pem(pem.as_bytes())).unwrap()).unwrap();
    end(&client, call(Ask::Apply)).await
}

#[tokio::test]
async fn a_service_that_is_trusted_is_asked() {
    for name in ["localhost", "127.0.0.1"] {
        let Identity { pem, acceptor } = identity(name);
        let service = service(&acceptor, ANSWER, End::Properly).await;
        assert_eq!(asked(&service, name, &pem).await, RECEIPT, "{name}");
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_service_that_is_not_the_one_that_is_meant() {
    let Identity { pem, acceptor } = identity("quota.example");
    let meant = service(&acceptor, ANSWER, End::Properly).await;
    let not_trusted = Answer::NotSent(NotSent::Tls);
    assert_eq!(asked(&meant, "localhost", &pem).await, not_trusted, "another name");
    let Identity { acceptor, .. } = identity("localhost");
    let stranger = service(&acceptor, ANSWER, End::Properly).await;
    assert_eq!(asked(&stranger, "localhost", &identity("localhost").pem).await, not_trusted, "another certificate");
    let system = Client::new(config(&stranger.url.replace("http:", "https:")), trust(Roots::None).unwrap()).unwrap();
    assert_eq!(end(&system, call(Ask::Apply)).await, not_trusted, "nobody is trusted");
}

#[tokio::test]
async fn nothing_is_sent_to_a_service_that_speaks_no_tls() {
    let plain = Service::start(|_, mut stream| async move {
        write(&mut stream, ANSWER.as_bytes()).await;
        hang().await;
    })
    .await;
    assert_eq!(asked(&plain, "localhost", &identity("localhost").pem).await, Answer::NotSent(NotSent::Tls));
    let closing = Service::start(|_, stream| async move { drop(stream) }).await;
    assert_eq!(asked(&closing, "localhost", &identity("localhost").pem).await, Answer::NotSent(NotSent::Tls));
}

#[tokio::test]
async fn an_answer_that_somebody_on_the_way_cuts_off_is_not_taken_for_whole() {
    // Without a length, only the end of TLS tells the answer's end from that of a connection.
    const ENDLESS: &str = "HTTP/1.1 200 OK\r\n\r\n{\"units\":25}";
    let Identity { pem, acceptor } = identity("localhost");
    let whole = service(&acceptor, ENDLESS, End::Properly).await;
    assert_eq!(asked(&whole, "localhost", &pem).await, RECEIPT);
    let cut_off = service(&acceptor, ENDLESS, End::CutOff).await;
    assert_eq!(asked(&cut_off, "localhost", &pem).await, TRUNCATED);
}

#[tokio::test]
async fn an_operator_asks_a_sidecar_that_is_behind_tls() {
    const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{\"total\":0,\"parked\":[]}  ";
    let Identity { pem, acceptor } = identity("localhost");
    let sidecar = service(&acceptor, EMPTY, End::Properly).await;
    let url: url::Url = sidecar.url.replace("http://127.0.0.1", "https://localhost").parse().unwrap();
    let ask = async |pem: &str| {
        let operator = Operator::new(url.clone(), "a-token", trust(Roots::Pem(pem.as_bytes())).unwrap()).unwrap();
        operator.ask("/v1/parked", None).await
    };
    assert_eq!(ask(&pem).await.unwrap(), serde_json::json!({"total": 0, "parked": []}));
    let refused = ask(&identity("localhost").pem).await.unwrap_err().to_string();
    assert!(refused.contains("nobody who is trusted vouches for it"), "{refused}");
}

#[test]
fn certificates_that_are_none_are_refused() {
    for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(trust(Roots::Pem(text.as_bytes())).is_err(), "{text:?}");
    }
}
