//! What a user of reqwest expects of a request works with the token, too: JSON, multipart, query, timeouts, streams.

use std::time::Duration;

use crate::requests_support::signed_in;
use jeton_client::Error;
use jeton_devserver::{DevServer, Endpoint, Fault};

#[tokio::test]
async fn query_parameters_are_encoded_and_added_to_those_of_the_url() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let url = format!("{}?first=1", server.resource_url());
    session
        .get(&url)
        .query([("a b", "c&d=\u{e9}")])
        .query(vec![("z".to_owned(), String::new())])
        .send()
        .await
        .unwrap();
    let request = server.last_request(Endpoint::Resource).unwrap();
    let expected = [("first", "1"), ("a b", "c&d=\u{e9}"), ("z", "")];
    assert_eq!(request.query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn a_form_is_encoded_and_a_plain_body_goes_as_it_is() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    session.post(&server.resource_url()).form([("a b", "c&d=\u{e9}")]).send().await.unwrap();
    let request = server.last_request(Endpoint::Resource).unwrap();
    assert_eq!(request.form_value("a b"), Some("c&d=\u{e9}"));
    session.post(&server.resource_url()).body("hello").send().await.unwrap();
    assert_eq!(server.last_request(Endpoint::Resource).unwrap().body_length, 5);
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_an_error() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    server.fault(Endpoint::Resource, Fault::Hang);
    let request = session.get(&server.resource_url()).timeout(Duration::from_millis(50));
    match request.send().await.unwrap_err() {
        Error::Request(error) => assert!(error.is_timeout(), "{error}"),
        error => panic!("{error}"),
    }
}

#[cfg(feature = "json")]
#[tokio::test]
async fn json_goes_out_comes_back_and_is_sent_again() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    server.revoke_access_tokens();
    let body = serde_json::json!({ "text": "hello" });
    let response = session.post(&server.resource_url()).json(&body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let answer: serde_json::Value = response.json().await.unwrap();
    assert_eq!(answer["content_type"], "application/json");
    assert_eq!(answer["body_length"], body.to_string().len());
    assert_eq!((server.stats().refreshes, server.stats().api_requests), (1, 2));
}

#[cfg(feature = "multipart")]
#[tokio::test]
async fn multipart_goes_out_and_is_not_sent_again() {
    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let form = || {
        reqwest::multipart::Form::new()
            .text("name", "value")
            .part("file", reqwest::multipart::Part::bytes(vec![7; 3000]))
    };
    let url = server.resource_url();
    assert_eq!(session.post(&url).multipart(form()).send().await.unwrap().status(), 200);
    let request = server.last_request(Endpoint::Resource).unwrap();
    assert!(request.header("content-type").unwrap().starts_with("multipart/form-data; boundary="));
    assert!(request.body_length > 3000);

    server.revoke_access_tokens();
    assert_eq!(session.post(&url).multipart(form()).send().await.unwrap().status(), 401);
    assert_eq!(session.post(&url).multipart(form()).send().await.unwrap().status(), 200);
    assert_eq!((server.stats().refreshes, server.stats().api_requests), (1, 3));
}

#[cfg(feature = "stream")]
#[tokio::test]
async fn bodies_are_streamed_both_ways() {
    use futures_util::{StreamExt, stream};

    let server = DevServer::start().unwrap();
    let session = signed_in(&server).await;
    let chunks = stream::iter((0..100).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 1000])));
    let body = reqwest::Body::wrap_stream(chunks);
    let response = session.post(&server.resource_url()).body(body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(server.last_request(Endpoint::Resource).unwrap().body_length, 100_000);

    server.fault(Endpoint::Resource, Fault::HugeBody(1 << 20));
    let response = session.get(&server.resource_url()).send().await.unwrap();
    let sizes = response.bytes_stream().map(|chunk| chunk.unwrap().len());
    let (count, total) =
        sizes.fold((0, 0), |(count, total), size| async move { (count + 1, total + size) }).await;
    assert_eq!(total, 1 << 20);
    assert!(count > 1);
}
