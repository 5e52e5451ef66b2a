//! Blocks that stand for many components, as the command line has them.

#![expect(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "tests, with a module that several share"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::{Bench, Ran, Toy};
use rollback_core::registry::Expand;
use rollback_core::{Capabilities, ComponentName, Driver, DynTarget, Error, ErrorKind, Result};
use serde_json::{Value, json};

/// `all = true` stands for each toy on the shelf; `one` is one of them, on the shelf or not.
#[derive(Debug, Clone)]
struct Shelf {
    toys: Arc<Mutex<BTreeMap<String, Toy>>>,
    asked: Arc<Mutex<usize>>,
}

#[async_trait]
impl Expand for Shelf {
    fn is_many(&self, config: &Value) -> bool {
        config.get("all").is_some()
    }

    async fn expand(&self, component: &ComponentName, _: Value) -> Result<Vec<String>> {
        *self.asked.lock().unwrap() += 1;
        let toys: Vec<_> = self.toys.lock().unwrap().keys().cloned().collect();
        if toys.is_empty() {
            return Err(Error::new(
                ErrorKind::NotFound,
                "look at the shelf",
                format!("{component} is empty"),
            ));
        }
        Ok(toys)
    }

    fn part(&self, _: &ComponentName, _: Value, part: &str) -> Result<Value> {
        Ok(json!({ "one": part }))
    }
}

#[async_trait]
impl Driver for Shelf {
    fn name(&self) -> &'static str {
        "shelf"
    }

    fn summary(&self) -> &'static str {
        "toys on a shelf"
    }

    fn config_schema(&self) -> Value {
        let ways = json!([{ "required": ["one"] }, { "required": ["all"] }]);
        json!({ "properties": { "all": {}, "one": {} }, "anyOf": ways, "additionalProperties": false })
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().history()
    }

    async fn connect(&self, component: &ComponentName, config: Value) -> Result<Arc<dyn DynTarget>> {
        let name = config["one"].as_str().unwrap_or_default();
        let toy = self.toys.lock().unwrap().get(name).cloned();
        let gone = || Error::new(ErrorKind::NotFound, "find the toy", format!("{name} is not on the shelf"));
        toy.ok_or_else(gone)?.connect(component, json!({})).await
    }

    fn expand(&self) -> Option<&dyn Expand> {
        Some(self)
    }
}

const CONFIGURATION: &str = "\
store = \"kept:\"
[components.web]
driver = \"toy\"
[components.shop]
driver = \"shelf\"
all = true
after = [\"web\"]
";

struct Shop {
    bench: Bench,
    shelf: Shelf,
}

impl Shop {
    fn new(toys: &[&str]) -> Self {
        Self::with(CONFIGURATION, toys)
    }

    fn with(configuration: &str, toys: &[&str]) -> Self {
        let toys = toys.iter().map(|name| ((*name).to_owned(), Toy::new(&["v1", "v2"])));
        let shelf = Shelf { toys: Arc::new(Mutex::new(toys.collect())), asked: Arc::default() };
        let mut bench = Bench::new(configuration);
        bench.app = bench.app.driver(shelf.clone());
        Self { bench, shelf }
    }

    async fn run(&self, line: &str, code: u8) -> Ran {
        let ran = self.bench.run(line).await;
        assert_eq!(ran.code, code, "{line}: {}{}", ran.out, ran.err);
        ran
    }

    /// The components of a plan.
    async fn planned(&self, line: &str) -> Vec<String> {
        let ran = self.run(&format!("plan {line} --output json"), 0).await.json();
        let components = ran.pointer("/plan/plan/components").and_then(Value::as_object).unwrap();
        components.keys().cloned().collect()
    }

    fn asked(&self) -> usize {
        std::mem::take(&mut *self.shelf.asked.lock().unwrap())
    }

    fn add(&self, name: &str) {
        self.shelf.toys.lock().unwrap().insert(name.to_owned(), Toy::new(&["v1", "v2"]));
    }

    fn remove(&self, name: &str) {
        self.shelf.toys.lock().unwrap().remove(name);
    }

    fn current(&self, name: &str) -> String {
        let toys = self.shelf.toys.lock().unwrap();
        let world = toys[name].0.lock().unwrap();
        world.current.clone()
    }
}

#[tokio::test]
async fn a_block_means_its_parts_and_a_part_itself() {
    let shop = Shop::new(&["ball", "car"]);
    assert_eq!(shop.planned("shop --to previous").await, ["shop.ball", "shop.car"]);
    assert_eq!(shop.planned("--to previous").await, ["shop.ball", "shop.car", "web"]);
    assert_eq!(shop.planned("shop.car shop web --to previous").await, ["shop.ball", "shop.car", "web"]);
    assert_eq!(shop.asked(), 3);
    assert_eq!(shop.planned("shop.car --to previous").await, ["shop.car"]);
    assert_eq!(shop.planned("--to shop.car:previous").await, ["shop.car"]);
    assert_eq!(shop.planned("web --to previous").await, ["web"]);
    assert_eq!(shop.planned("--to web:previous").await, ["web"]);
    assert_eq!(shop.asked(), 0, "nobody is asked who is not meant");
    assert_eq!(shop.planned("--to shop:previous").await, ["shop.ball", "shop.car"]);
    let planned =
        shop.run("plan shop web --to previous --to shop.car:revision=v2 --output json", 0).await.json();
    let car = planned.pointer("/plan/plan/components/shop.car").unwrap();
    assert_eq!(car["to"]["info"]["revision"], "v2");
    assert_eq!(car["after"], json!(["web"]), "what the block comes after, its parts do");
}

#[tokio::test]
async fn a_saved_plan_and_its_parts_outlive_what_comes_and_goes() {
    let shop = Shop::new(&["ball", "car"]);
    shop.run("plan shop --to previous --out plan.json", 0).await;
    shop.add("late");
    shop.asked();
    shop.run("apply plan.json --yes", 0).await;
    assert_eq!([shop.current("ball"), shop.current("car"), shop.current("late")], ["v1", "v1", "v2"]);
    assert_eq!(shop.asked(), 0, "a plan names its parts");
    shop.remove("ball");
    let gone = shop.run("status shop.ball", 1).await;
    assert!(gone.err.contains("ball is not on the shelf"), "{}", gone.err);
    let status = shop.run("status shop --output json", 0).await.json();
    let listed: Vec<_> = status["components"].as_object().unwrap().keys().collect();
    assert_eq!(listed, ["shop.car", "shop.late"]);
    shop.run("history shop.car", 0).await;
    shop.run("record shop.car --good", 0).await;
}

#[tokio::test]
async fn a_block_of_nothing_is_told_and_hides_nothing_else() {
    let shop = Shop::new(&[]);
    for line in ["plan shop --to previous", "run shop --to previous --yes", "unlock shop"] {
        let ran = shop.run(line, 1).await;
        assert!(ran.err.contains("shop is empty"), "{line}: {}", ran.err);
    }
    let status = shop.run("status --output json", 1).await.json();
    assert!(status["components"]["web"]["observed"].is_object(), "{status}");
    assert!(status["components"]["shop"]["error"].to_string().contains("shop is empty"), "{status}");
    let check = shop.run("check --to previous", 9).await;
    assert!(check.out.contains("shop is empty") && check.out.contains("web"), "{}", check.out);
    let allowed = shop.run("allowed v1", 1).await;
    assert!(
        allowed.out.contains("web: v1 may ship") && allowed.out.contains("shop is empty"),
        "{}",
        allowed.out
    );
}

#[tokio::test]
async fn what_wants_one_component_takes_no_block() {
    let shop = Shop::new(&["ball"]);
    for line in ["record shop --good", "history shop", "quarantine add shop v2 --reason bad"] {
        let ran = shop.run(line, 2).await;
        assert!(ran.err.contains("shop stands for many components"), "{line}: {}", ran.err);
        assert!(ran.err.contains("rollback status shop"), "{line}: {}", ran.err);
    }
    assert_eq!(shop.asked(), 0);
    let ran = shop.run("status shopp", 2).await;
    assert!(ran.err.contains("did you mean \"shop\"?"), "{}", ran.err);
}

#[tokio::test]
async fn names_lead_back_to_where_they_come_from() {
    // Of two blocks that could have a part of that name, the longer one counts; the other must not have it then.
    let more = "[components.\"shop.toys\"]\ndriver = \"shelf\"\nall = true\n";
    let shop = Shop::with(&format!("{CONFIGURATION}{more}"), &["ball", "toys.ball"]);
    assert_eq!(shop.planned("shop.toys --to previous").await, ["shop.toys.ball", "shop.toys.toys.ball"]);
    let ran = shop.run("plan shop --to previous", 2).await;
    assert!(ran.err.contains("shop.toys.ball has the name of another component"), "{}", ran.err);
    let taken = "[components.\"shop.ball\"]\ndriver = \"toy\"\n";
    let shop = Shop::with(&format!("{CONFIGURATION}{taken}"), &["ball"]);
    assert_eq!(shop.planned("shop.ball --to previous").await, ["shop.ball"]);
    let ran = shop.run("plan --to previous", 2).await;
    assert!(ran.err.contains("shop.ball has the name of another component"), "{}", ran.err);
}

#[tokio::test]
async fn gates_and_order_may_name_a_block_or_a_part() {
    let gate = |component: &str| {
        format!(
            "[[gates]]\nname = \"g-{component}\"\ncomponent = \"{component}\"\nprobe = {{ kind = \"command\", argv = [\"true\"] }}\n"
        )
    };
    let more = "[components.last]\ndriver = \"toy\"\nafter = [\"shop\", \"shop.car\"]\n";
    let text = format!("{CONFIGURATION}{more}{}{}", gate("shop"), gate("shop.car"));
    let shop = Shop::with(&text, &["ball", "car"]);
    let planned = shop.run("plan shop last --to previous --output json", 0).await.json();
    let plan = planned.pointer("/plan/plan").unwrap();
    assert_eq!(plan["components"]["last"]["after"], json!(["shop.ball", "shop.car"]));
    let gates = plan["gates"].as_array().unwrap().iter();
    let gates: Vec<_> = gates.map(|gate| format!("{} {}", gate["name"], gate["component"])).collect();
    assert_eq!(gates, ["\"g-shop\" \"shop.ball\"", "\"g-shop\" \"shop.car\"", "\"g-shop.car\" \"shop.car\""]);
    let stray = CONFIGURATION.replace("\"web\"]", "\"web.x\"]");
    let ran = Shop::with(&stray, &[]).run("status web", 2).await;
    assert!(ran.err.contains("names a component that is not there"), "{}", ran.err);
}

#[tokio::test]
async fn the_schema_of_the_file_has_every_form() {
    let shop = Shop::new(&[]);
    let schema = shop.run("schema", 0).await.json();
    let ways = &schema["definitions"]["driver-shelf"]["anyOf"];
    assert_eq!(
        *ways,
        json!([{ "required": ["one"] }, { "required": ["all"] }, { "required": ["overrides"] }])
    );
}
