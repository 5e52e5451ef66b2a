//! AWS's own SDKs read what the double answers, and the double what they ask.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_codedeploy as codedeploy;
use aws_sdk_codedeploy::types as cd;
use aws_sdk_elasticloadbalancingv2 as elb;
use aws_sdk_elasticloadbalancingv2::types as lb;
use rollback_scripted_aws::{Cloud, Server};
use serde_json::json;

type Checked = Result<(), Box<dyn std::error::Error>>;

fn credentials() -> Credentials {
    Credentials::new("AKIDTEST", "secret", None, None, "test")
}

fn balancing(server: &Server) -> elb::Client {
    let config = elb::Config::builder()
        .behavior_version(elb::config::BehaviorVersion::v2026_01_12())
        .endpoint_url(server.url())
        .region(elb::config::Region::new("eu-west-1"))
        .credentials_provider(credentials())
        .retry_config(elb::config::retry::RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    elb::Client::from_conf(config.build())
}

fn deploying(server: &Server) -> codedeploy::Client {
    let config = codedeploy::Config::builder()
        .behavior_version(codedeploy::config::BehaviorVersion::v2026_01_12())
        .endpoint_url(server.url())
        .region(codedeploy::config::Region::new("eu-west-1"))
        .credentials_provider(credentials())
        .retry_config(codedeploy::config::retry::RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    codedeploy::Client::from_conf(config.build())
}

/// Two target groups behind one listener: the ARNs of the load balancer, the listener and the groups.
fn balancer(cloud: &Cloud) -> [String; 4] {
    let mut world = cloud.world();
    let balancer = world.create_load_balancer("shop");
    let (blue, green) = (world.create_target_group("blue"), world.create_target_group("green"));
    let listener = world.create_listener(&balancer, 443, &[(&blue, 100), (&green, 0)]);
    world.create_rule(&listener, "/api/*", &[(&blue, 1)]);
    let now = world.now();
    world.register_target(&blue, rollback_scripted_aws::Target::new("10.0.0.1", 80, now, "web:41"));
    [balancer, listener, blue, green]
}

fn weights(actions: &[lb::Action]) -> Vec<(&str, i32)> {
    let groups = actions.iter().filter_map(lb::Action::forward_config).flat_map(|one| one.target_groups());
    groups.map(|one| (one.target_group_arn().unwrap_or_default(), one.weight().unwrap_or(-1))).collect()
}

#[tokio::test]
async fn load_balancers_are_read() -> Checked {
    let cloud = Cloud::new();
    let server = cloud.serve().await?;
    let client = balancing(&server);
    let [balancer, listener, blue, green] = balancer(&cloud);
    let told = client.describe_listeners().listener_arns(&listener).send().await?;
    let one = &told.listeners()[0];
    assert_eq!((one.load_balancer_arn(), one.port()), (Some(balancer.as_str()), Some(443)));
    assert_eq!(weights(one.default_actions()), [(blue.as_str(), 100), (green.as_str(), 0)]);
    assert_eq!(one.default_actions()[0].r#type(), Some(&lb::ActionTypeEnum::Forward));
    let told = client.describe_rules().listener_arn(&listener).send().await?;
    assert_eq!(told.rules()[0].priority(), Some("1"));
    assert_eq!(told.rules()[0].conditions()[0].path_pattern_config().map(|one| one.values().len()), Some(1));
    assert_eq!(told.rules()[1].is_default(), Some(true));
    let told = client.describe_target_groups().load_balancer_arn(&balancer).send().await?;
    let names: Vec<_> = told.target_groups().iter().filter_map(|one| one.target_group_name()).collect();
    assert_eq!(names, ["blue", "green"]);
    assert_eq!(told.target_groups()[0].health_check_interval_seconds(), Some(10));
    let told = client.describe_load_balancers().names("shop").send().await?;
    let one = &told.load_balancers()[0];
    assert_eq!(one.state().and_then(|state| state.code()), Some(&lb::LoadBalancerStateEnum::Active));
    assert_eq!(one.created_time().map(|at| at.secs()), Some(cloud.now().as_second()));
    Ok(())
}

#[tokio::test]
async fn target_health_is_read() -> Checked {
    let cloud = Cloud::new();
    let server = cloud.serve().await?;
    let client = balancing(&server);
    let [.., blue, _] = balancer(&cloud);
    let health = || client.describe_target_health().target_group_arn(&blue).send();
    let told = health().await?;
    let state = told.target_health_descriptions()[0].target_health().cloned();
    let reason = state.as_ref().and_then(|one| one.reason());
    assert_eq!(reason, Some(&lb::TargetHealthReasonEnum::InitialHealthChecking));
    cloud.tick(Duration::from_secs(10));
    let told = health().await?;
    let one = &told.target_health_descriptions()[0];
    assert_eq!(one.target_health().and_then(|it| it.state()), Some(&lb::TargetHealthStateEnum::Healthy));
    assert_eq!(one.target().and_then(|target| target.id()), Some("10.0.0.1"));
    Ok(())
}

#[tokio::test]
async fn weights_are_written_and_refused() -> Checked {
    let cloud = Cloud::new();
    let server = cloud.serve().await?;
    let client = balancing(&server);
    let [_, listener, blue, green] = balancer(&cloud);
    let action = |weight: i32, green: &str| {
        let share =
            |arn: &str, weight| lb::TargetGroupTuple::builder().target_group_arn(arn).weight(weight).build();
        let both = [share(&blue, 100 - weight), share(green, weight)];
        let forward = lb::ForwardActionConfig::builder().set_target_groups(Some(both.into())).build();
        lb::Action::builder().r#type(lb::ActionTypeEnum::Forward).forward_config(forward).build()
    };
    let modify = |action| client.modify_listener().listener_arn(&listener).default_actions(action).send();
    let told = modify(action(30, &green)).await?;
    assert_eq!(weights(told.listeners()[0].default_actions()), [(blue.as_str(), 70), (green.as_str(), 30)]);
    let gone = green.replace("green", "gone");
    let refused = modify(action(30, &gone)).await.err().and_then(|error| error.into_service_error().into());
    assert!(refused.is_some_and(|error| error.is_target_group_not_found_exception()));
    let wrong = modify(action(-1, &green)).await.err().map(elb::error::SdkError::into_service_error);
    assert_eq!(wrong.as_ref().and_then(|error| error.meta().code()), Some("ValidationError"));
    Ok(())
}

/// A service that CodeDeploy moves, with a deployment group for it; the task definitions that it runs and that it could run.
fn service(
    cloud: &Cloud,
    [_, listener, blue, _]: &[String; 4],
) -> Result<[String; 2], Box<dyn std::error::Error>> {
    let fault = |fault: rollback_scripted_aws::Fault| format!("{fault:?}");
    cloud.cluster("prod");
    let register = |image: &str| cloud.register("web", image).map_err(fault);
    let both = [register("web:41")?, register("web:42")?];
    let service = json!({
        "cluster": "prod", "serviceName": "web", "taskDefinition": both[0], "desiredCount": 1,
        "deploymentController": { "type": "CODE_DEPLOY" }, "launchType": "FARGATE",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
        "loadBalancers": [{ "targetGroupArn": blue, "containerName": "web", "containerPort": 80 }],
    });
    cloud.ask("ecs", "CreateService", &service).map_err(fault)?;
    cloud.settle();
    let application = json!({ "applicationName": "shop", "computePlatform": "ECS" });
    cloud.ask("codedeploy", "CreateApplication", &application).map_err(fault)?;
    let group = json!({
        "applicationName": "shop", "deploymentGroupName": "web", "serviceRoleArn": "arn:aws:iam::123456789012:role/x",
        "autoRollbackConfiguration": { "enabled": true, "events": ["DEPLOYMENT_FAILURE"] },
        "deploymentStyle": { "deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL" },
        "blueGreenDeploymentConfiguration": {
            "terminateBlueInstancesOnDeploymentSuccess": { "action": "TERMINATE", "terminationWaitTimeInMinutes": 5 },
            "deploymentReadyOption": { "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0 },
        },
        "ecsServices": [{ "clusterName": "prod", "serviceName": "web" }],
        "loadBalancerInfo": { "targetGroupPairInfoList": [{
            "targetGroups": [{ "name": "blue" }, { "name": "green" }],
            "prodTrafficRoute": { "listenerArns": [listener] },
        }] },
    });
    cloud.ask("codedeploy", "CreateDeploymentGroup", &group).map_err(fault)?;
    Ok(both)
}

fn revision(task_definition: &str) -> cd::RevisionLocation {
    let properties = json!({
        "TaskDefinition": task_definition,
        "LoadBalancerInfo": { "ContainerName": "web", "ContainerPort": 80 },
    });
    let service = json!({ "TargetService": { "Type": "AWS::ECS::Service", "Properties": properties } });
    let content = json!({ "version": 0.0, "Resources": [service] }).to_string();
    cd::RevisionLocation::builder()
        .revision_type(cd::RevisionLocationType::AppSpecContent)
        .app_spec_content(cd::AppSpecContent::builder().content(content).build())
        .build()
}

/// Makes a deployment whose traffic has moved while blue is still there; its id and when it was made.
async fn shifted(
    cloud: &Cloud,
    client: &codedeploy::Client,
) -> Result<(String, codedeploy::primitives::DateTime), Box<dyn std::error::Error>> {
    let [_, new] = service(cloud, &balancer(cloud))?;
    let create = || {
        let create = client.create_deployment().application_name("shop").deployment_group_name("web");
        create.revision(revision(&new)).send()
    };
    let id = create().await?.deployment_id.unwrap_or_default();
    let second = create().await.err().map(codedeploy::error::SdkError::into_service_error);
    assert!(second.is_some_and(|error| error.is_deployment_limit_exceeded_exception()));
    let made = codedeploy::primitives::DateTime::from_secs(cloud.now().as_second());
    cloud.tick(Duration::from_secs(120));
    Ok((id, made))
}

#[tokio::test]
async fn a_deployment_is_made_and_read() -> Checked {
    let cloud = Cloud::new();
    let server = cloud.serve().await?;
    let client = deploying(&server);
    let (id, made) = shifted(&cloud, &client).await?;
    let told = client.get_deployment().deployment_id(&id).send().await?.deployment_info;
    let told = told.ok_or("no deployment")?;
    assert_eq!(told.status(), Some(&cd::DeploymentStatus::InProgress));
    assert_eq!((told.create_time(), told.creator()), (Some(&made), Some(&cd::DeploymentCreator::User)));
    assert!(told.instance_termination_wait_time_started());
    assert_eq!(told.compute_platform(), Some(&cd::ComputePlatform::Ecs));
    let revision = told.revision().and_then(|revision| revision.app_spec_content());
    assert_eq!(revision.and_then(|spec| spec.content()), None);
    let target = client.get_deployment_target().deployment_id(&id).target_id("prod:web").send().await?;
    let target = target.deployment_target.and_then(|target| target.ecs_target).ok_or("no target")?;
    let events = target.lifecycle_events().iter().filter_map(|one| one.lifecycle_event_name());
    let traffic = ["BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic"];
    let names = [["BeforeInstall", "Install", "AfterInstall"], traffic].concat();
    assert_eq!(events.collect::<Vec<_>>(), names, "no test traffic without a listener for it");
    let sets = target.task_sets_info().iter();
    let labels: Vec<_> = sets.map(|set| (set.task_set_label(), set.traffic_weight())).collect();
    assert_eq!(labels, [(Some(&cd::TargetLabel::Blue), 0.0), (Some(&cd::TargetLabel::Green), 100.0)]);
    Ok(())
}

#[tokio::test]
async fn a_stopped_deployment_and_its_rollback_are_read() -> Checked {
    let cloud = Cloud::new();
    let server = cloud.serve().await?;
    let client = deploying(&server);
    let (id, made) = shifted(&cloud, &client).await?;
    let stopped = client.stop_deployment().deployment_id(&id).auto_rollback_enabled(true).send().await?;
    assert_eq!(stopped.status(), Some(&cd::StopStatus::Pending));
    cloud.tick(Duration::from_secs(60));
    let listed = client.list_deployments().application_name("shop").deployment_group_name("web");
    let range = cd::TimeRange::builder().start(made).build();
    let listed = listed.create_time_range(range).include_only_statuses(cd::DeploymentStatus::Succeeded);
    let back = listed.send().await?.deployments.unwrap_or_default();
    let told = client.batch_get_deployments().deployment_ids(&back[0]).deployment_ids(&id).send().await?;
    let [back, first] = told.deployments_info() else { return Err("not both".into()) };
    assert_eq!(back.creator(), Some(&cd::DeploymentCreator::CodeDeployRollback));
    let of = back.rollback_info().and_then(|info| info.rollback_triggering_deployment_id());
    assert_eq!((of, first.status()), (Some(id.as_str()), Some(&cd::DeploymentStatus::Stopped)));
    let code = first.error_information().and_then(|error| error.code());
    assert_eq!(code, Some(&cd::ErrorCode::ManualStop));
    let late = client.stop_deployment().deployment_id(&id).send().await.err();
    let late = late.map(codedeploy::error::SdkError::into_service_error);
    assert!(late.is_some_and(|error| error.is_deployment_already_completed_exception()));
    Ok(())
}

#[tokio::test]
async fn a_deployment_group_is_read() -> Checked {
    let cloud = Cloud::new();
    let server = cloud.serve().await?;
    let client = deploying(&server);
    let parts = balancer(&cloud);
    service(&cloud, &parts)?;
    let ask = |name: &str| {
        client.get_deployment_group().application_name("shop").deployment_group_name(name).send()
    };
    let told = ask("web").await?.deployment_group_info.ok_or("no group")?;
    let rollback = told.auto_rollback_configuration().ok_or("no rollback")?;
    assert_eq!(
        (rollback.enabled(), rollback.events()),
        (true, &[cd::AutoRollbackEvent::DeploymentFailure][..])
    );
    let pair = &told.load_balancer_info().ok_or("no load balancer")?.target_group_pair_info_list()[0];
    assert_eq!(pair.target_groups()[1].name(), Some("green"));
    let route = pair.prod_traffic_route().ok_or("no route")?;
    assert_eq!(route.listener_arns(), [parts[1].clone()]);
    assert_eq!(told.ecs_services()[0].service_name(), Some("web"));
    let option = told.blue_green_deployment_configuration().and_then(|one| one.deployment_ready_option());
    let action = option.and_then(|option| option.action_on_timeout());
    assert_eq!(action, Some(&cd::DeploymentReadyAction::ContinueDeployment));
    let gone = ask("gone").await.err().map(codedeploy::error::SdkError::into_service_error);
    assert!(gone.is_some_and(|error| error.is_deployment_group_does_not_exist_exception()));
    Ok(())
}
