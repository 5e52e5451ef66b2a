//! The one call, made of what the SDKs are made of.

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_sdk_sts::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use aws_smithy_runtime::client::http::connection_poisoning::ConnectionPoisoningInterceptor;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::ErrorMetadata;
use aws_types::region::SigningRegion;
use aws_types::service_config::ServiceConfigKey;
use aws_types::{SdkConfig, SigningName};
use rollback_core::{Error, ErrorKind, Result};
use url::form_urlencoded::Serializer;

use super::Wanted;
use super::answer::{Page, refusal};
use crate::error::{Call, nobody};

/// So many instances are on a page: the most that EC2 gives.
pub(super) const PAGE: usize = 1000;
/// EC2's API has had no other since.
const VERSION: &str = "2016-11-15";
const SERVICE: &str = "ec2";

/// `ec2:DescribeInstances`, sent once.
pub(super) struct Describe {
    operation: Operation<String, Page, ErrorMetadata>,
}

impl Describe {
    pub(super) async fn new(config: &SdkConfig, call: &Call) -> Result<Self> {
        let unmade = |error: BoxError| {
            let message = format!("the request {} could not be made: {error}", call.api());
            Error::new(ErrorKind::Invalid, "find EC2 instances", message)
                .next("see whether the region is set and right")
        };
        // Left to itself, the call would be one that cannot be made.
        let credentials = config.credentials_provider().ok_or_else(|| nobody(call))?;
        let mut operation = Operation::builder()
            .service_name(SERVICE)
            .operation_name("DescribeInstances")
            .endpoint_url(&endpoint(config).await.map_err(unmade)?)
            .no_retry()
            .interceptor(UserAgentInterceptor::new())
            .interceptor(ConnectionPoisoningInterceptor::new())
            .runtime_plugin(signing(config, credentials))
            .serializer(serialized)
            .deserializer(deserialized);
        if let Some(behavior) = config.behavior_version() {
            operation = operation.behavior_version(behavior);
        }
        if let Some(http) = config.http_client() {
            operation = operation.http_client(http);
        }
        if let Some(time) = config.time_source() {
            operation = operation.time_source(time);
        }
        if let Some(sleep) = config.sleep_impl() {
            operation = operation.sleep_impl(sleep);
        }
        if let Some(timeouts) = config.timeout_config() {
            operation = operation.timeout_config(timeouts.clone());
        }
        Ok(Self { operation: operation.build() })
    }

    pub(super) async fn send(
        &self,
        wanted: &Wanted,
        next: Option<&str>,
    ) -> std::result::Result<Page, SdkError<ErrorMetadata, HttpResponse>> {
        self.operation.invoke(form(wanted, next)).await
    }
}

/// Who signs, and as what: as the SDKs do for this service.
fn signing(config: &SdkConfig, credentials: SharedCredentialsProvider) -> StaticRuntimePlugin {
    let mut layer = Layer::new(SERVICE);
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(ApiMetadata::new(SERVICE, env!("CARGO_PKG_VERSION")));
    if let Some(name) = config.app_name() {
        layer.store_put(name.clone());
    }
    layer.store_put(SigV4OperationSigningConfig {
        region: config.region().cloned().map(SigningRegion::from),
        name: Some(SigningName::from_static(SERVICE)),
        ..SigV4OperationSigningConfig::default()
    });
    let components = RuntimeComponentsBuilder::new(SERVICE)
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID])))
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_identity_cache(config.identity_cache())
        .with_identity_resolver(SCHEME_ID, credentials);
    StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components)
}

/// Where EC2 is: what somebody set for it or for everything, in the order in which the SDKs take it; else AWS's own.
async fn endpoint(config: &SdkConfig) -> std::result::Result<String, BoxError> {
    let set = || config.endpoint_url().map(str::to_owned);
    let key = ServiceConfigKey::builder()
        .service_id("EC2")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()?;
    let for_ec2 = || config.service_config().and_then(|settings| settings.load_config(key));
    let url =
        if config.get_origin("endpoint_url").is_client_config() { set() } else { for_ec2().or_else(set) };
    match url {
        Some(url) => Ok(url),
        None => of_aws(config).await,
    }
}

/// Partitions, FIPS and dual stack are known to each SDK: EC2 is where STS is, under its own name.
async fn of_aws(config: &SdkConfig) -> std::result::Result<String, BoxError> {
    let region = config.region().map(ToString::to_string);
    let params = Params::builder()
        .set_region(region)
        .set_use_fips(config.use_fips())
        .set_use_dual_stack(config.use_dual_stack())
        .build()?;
    let sts = DefaultResolver::new().resolve_endpoint(&params).await?;
    let rest = sts.url().strip_prefix("https://sts").filter(|rest| rest.starts_with(['.', '-']));
    match rest {
        Some(rest) => Ok(format!("https://{SERVICE}{rest}")),
        None => Err("nobody knows where EC2 is in this region".into()),
    }
}

fn serialized(form: String) -> std::result::Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(SdkBody::from(form));
    request.set_method("POST")?;
    request.set_uri("/")?;
    request.headers_mut().insert("content-type", "application/x-www-form-urlencoded");
    Ok(request)
}

fn deserialized(answer: &HttpResponse) -> std::result::Result<Page, OrchestratorError<ErrorMetadata>> {
    let body = answer.body().bytes().unwrap_or_default();
    if answer.status().is_success() {
        Page::read(body).map_err(|error| OrchestratorError::response(error.into()))
    } else {
        Err(OrchestratorError::operation(refusal(body)))
    }
}

fn form(wanted: &Wanted, next: Option<&str>) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("Action", "DescribeInstances").append_pair("Version", VERSION);
    match wanted {
        Wanted::Tags(tags) => {
            // EC2 takes no number with ids, and gives those at once.
            form.append_pair("MaxResults", &PAGE.to_string());
            for ((key, value), number) in tags.iter().zip(1..) {
                form.append_pair(&format!("Filter.{number}.Name"), &format!("tag:{key}"));
                form.append_pair(&format!("Filter.{number}.Value.1"), &literal(value));
            }
        }
        Wanted::Ids(ids) => {
            for (id, number) in ids.iter().zip(1..) {
                form.append_pair(&format!("InstanceId.{number}"), id);
            }
        }
    }
    if let Some(next) = next {
        form.append_pair("NextToken", next);
    }
    form.finish()
}

/// In a filter `*` and `?` stand for other characters, unless `\` is before them:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html>
fn literal(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '*' | '?' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use aws_config::Region;

    use super::*;

    #[tokio::test]
    async fn ec2_is_asked_where_it_is() {
        for (region, fips, dual, url) in [
            ("us-east-1", false, false, "https://ec2.us-east-1.amazonaws.com"),
            ("eu-central-1", false, false, "https://ec2.eu-central-1.amazonaws.com"),
            ("cn-north-1", false, false, "https://ec2.cn-north-1.amazonaws.com.cn"),
            ("us-gov-west-1", false, false, "https://ec2.us-gov-west-1.amazonaws.com"),
            ("us-east-2", true, false, "https://ec2-fips.us-east-2.amazonaws.com"),
            ("eu-west-1", false, true, "https://ec2.eu-west-1.api.aws"),
        ] {
            let config = SdkConfig::builder().region(Region::new(region)).use_fips(fips).use_dual_stack(dual);
            assert_eq!(endpoint(&config.build()).await.unwrap(), url);
        }
        let nowhere = SdkConfig::builder().region(Region::new("eu central.example/"));
        assert!(endpoint(&nowhere.build()).await.is_err());
        let set = SdkConfig::builder().region(Region::new("eu-west-1")).endpoint_url("http://127.0.0.1:1");
        assert_eq!(endpoint(&set.build()).await.unwrap(), "http://127.0.0.1:1");
    }

    #[test]
    fn what_is_asked_is_what_is_meant() {
        let tags = [("app", "shop"), ("stage", "a*b?c\\d&e=f ü")];
        let tags = Wanted::Tags(tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert_eq!(
            form(&tags, Some("a+b")),
            "Action=DescribeInstances&Version=2016-11-15&MaxResults=1000&Filter.1.Name=tag%3Aapp&Filter.1.Value.1=shop\
             &Filter.2.Name=tag%3Astage&Filter.2.Value.1=a%5C*b%5C%3Fc%5C%5Cd%26e%3Df+%C3%BC&NextToken=a%2Bb"
        );
        let ids = Wanted::Ids(["i-2", "i-1"].map(str::to_owned).into());
        assert_eq!(
            form(&ids, None),
            "Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-1&InstanceId.2=i-2"
        );
    }
}
