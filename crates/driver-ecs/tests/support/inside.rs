//! A session that asks the double without sockets, for tests in virtual time: nothing in it waits for the machine.

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use rollback_aws_support::Session;
use rollback_scripted_aws::{Answer, Cloud, Reply, Request};

/// Hands requests to the double in this process.
#[derive(Debug, Clone)]
struct Inside(Cloud);

impl HttpConnector for Inside {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(answer(&self.0, &request))
    }
}

fn answer(cloud: &Cloud, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let mut asked = Request::default();
    let address = request.uri().split_once("://").map_or(request.uri(), |(_, rest)| rest);
    asked.path = address.find('/').map_or("/", |at| &address[at..]).to_owned();
    asked.headers =
        request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    asked.body = request.body().bytes().unwrap_or_default().to_vec().into();
    match cloud.call(&asked) {
        Reply::Answered(answer) => response(answer).map_err(|why| ConnectorError::other(why.into(), None)),
        other => Err(ConnectorError::io(format!("no answer: {other:?}").into())),
    }
}

fn response(answer: Answer) -> Result<HttpResponse, String> {
    let status = answer.status.try_into().map_err(|_| "a status that is none")?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// A session on the double.
pub(crate) fn session(cloud: &Cloud) -> Session {
    let connector = SharedHttpConnector::new(Inside(cloud.clone()));
    let credentials = Credentials::new("AKIDTEST", "not a secret", None, None, "tests");
    let config = SdkConfig::builder()
        .region(aws_config::Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    Session::from_sdk_config(config)
}
