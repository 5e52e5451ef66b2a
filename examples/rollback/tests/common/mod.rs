//! A toy to roll back, a store that outlives a command, and a console that remembers.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_cli::{App, Console, StoreOpener, Terminals};
use rollback_core::document::decode_exact;
use rollback_core::store::MemoryStore;
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, Shown, Standing};
use rollback_core::{
    Action, ActionContext, Artifact, Bound, Capabilities, ComponentName, Decision, Document, Driver,
    DynTarget, Error, ErrorKind, Evidence, Goal, Identity, Landing, Observation, PartState, Proposal,
    Reading, Receipt, Result, Snapshot, SnapshotInfo, Step, Store, Strategy, Target, TargetInfo, Token, View,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the toy runs, and what it could run, oldest first.
#[derive(Debug)]
pub struct World {
    pub current: String,
    pub releases: Vec<String>,
    pub moves: u64,
    /// Refuses to be changed.
    pub locked: bool,
    /// When the releases that do not run will be removed, if they will.
    pub removed_at: Option<Timestamp>,
}

/// The toy driver with its one world, shared by every command of a test.
#[derive(Debug, Clone)]
pub struct Toy(pub Arc<Mutex<World>>);

impl Toy {
    pub fn new(releases: &[&str]) -> Self {
        let releases: Vec<String> = releases.iter().map(|name| (*name).to_owned()).collect();
        let current = releases.last().cloned().unwrap_or_default();
        Self(Arc::new(Mutex::new(World { current, releases, moves: 0, locked: false, removed_at: None })))
    }
}

#[async_trait]
impl Driver for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn summary(&self) -> &'static str {
        "a name in memory"
    }

    fn config_schema(&self) -> Value {
        json!({ "properties": { "size": {} }, "additionalProperties": false })
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().history()
    }

    async fn connect(&self, component: &ComponentName, config: Value) -> Result<Arc<dyn DynTarget>> {
        if let Some(size) = config.get("size").filter(|size| !size.is_number()) {
            // As careless as a driver can be: it quotes the setting.
            return Err(Error::new(ErrorKind::Invalid, "set up the toy", format!("size is {size}")));
        }
        let target = ToyTarget { world: Arc::clone(&self.0), name: component.to_string() };
        Ok(Bound::new("toy", target).strategy(Rename).erase())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release(String);

impl Document for Release {
    const SCHEMA: &'static str = "toy-release/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Snapshot for Release {
    fn info(&self) -> SnapshotInfo {
        SnapshotInfo::new(self.0.parse().unwrap(), Identity::of(&self.0).unwrap())
            .with_artifact(Artifact::new("release", &self.0))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Switch {
    to: String,
}

impl Document for Switch {
    const SCHEMA: &'static str = "toy-switch/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Action for Switch {}

struct Rename;

impl Strategy<Release, Switch> for Rename {
    fn name(&self) -> &'static str {
        "rename"
    }

    fn summary(&self) -> &'static str {
        "write the other name"
    }

    fn propose(&self, view: &View<Release>) -> Decision<Switch> {
        let to = view.goal.0.clone();
        let step = Step::single("rename".parse().unwrap(), format!("run {to}"), Switch { to });
        Decision::Propose(Proposal::new(vec![step]))
    }
}

#[derive(Debug)]
struct ToyTarget {
    world: Arc<Mutex<World>>,
    name: String,
}

impl ToyTarget {
    fn token(&self) -> Token {
        Token::new(self.world.lock().unwrap().moves.to_string())
    }

    fn part(&self) -> PartState {
        let current = Release(self.world.lock().unwrap().current.clone());
        PartState::verified("toy-1".parse().unwrap(), Some(current.info().identity))
    }
}

#[async_trait]
impl Target for ToyTarget {
    type Snapshot = Release;
    type Action = Switch;

    async fn info(&self) -> Result<TargetInfo> {
        let id = format!("toy:{}", self.name).parse()?;
        Ok(TargetInfo::new(id, "toy-account").with_capabilities(Capabilities::default().history()))
    }

    async fn observe(&self, _: Option<&Token>) -> Result<Observation<Release>> {
        let current = Release(self.world.lock().unwrap().current.clone());
        Ok(Observation::settled(Reading::Known(current), self.token()).part(self.part()))
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<Release>>> {
        let world = self.world.lock().unwrap();
        let standing =
            |name: &String| if *name == world.current { Standing::Current } else { Standing::Unknown };
        let newest = world.releases.iter().rev().map(|name| (Release(name.clone()), standing(name)));
        let wanted = newest.filter(|(release, _)| query.wants(&release.info()));
        Ok(wanted.map(|(release, standing)| HistoryEntry::new(release, standing)).collect())
    }

    async fn inspect(&self, from: Option<&Release>, to: &Release) -> Result<Inspection> {
        let shown = |release: &Release| Shown::Plain(release.0.clone());
        let removed_at = self.world.lock().unwrap().removed_at;
        let artifact = Artifact::new("release", &to.0);
        let found = Inspection::default().artifact(artifact, Reading::Known(removed_at));
        Ok(found.differs("name", from.map(shown), Some(shown(to))))
    }

    async fn apply(&self, _: &ActionContext, action: &Switch) -> Result<Landing> {
        let mut world = self.world.lock().unwrap();
        if world.locked {
            return Err(Error::new(ErrorKind::Denied, "rename", "the toy is locked"));
        }
        world.current.clone_from(&action.to);
        world.moves += 1;
        Ok(Landing::Applied(Receipt::default().with_token(Token::new(world.moves.to_string()))))
    }

    async fn probe(&self, _: &ActionContext, action: &Switch) -> Result<Landing> {
        let landed = self.world.lock().unwrap().current == action.to;
        Ok(if landed { Landing::applied() } else { Landing::NotApplied { why: "another name".to_owned() } })
    }

    async fn prove(&self, _: &Goal<Release>) -> Result<Evidence> {
        Ok(Evidence::default().part(self.part()).compared("the name"))
    }
}

/// `store = "kept:"`: the same memory for every command of a test.
#[derive(Debug, Clone, Default)]
pub struct Kept(MemoryStore);

#[async_trait]
impl StoreOpener for Kept {
    fn scheme(&self) -> &'static str {
        "kept"
    }

    async fn open(&self, _: &str, _: &Path) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(self.0.clone()))
    }
}

/// `store = "down:"`: cannot be opened.
#[derive(Debug)]
pub struct Down;

#[async_trait]
impl StoreOpener for Down {
    fn scheme(&self) -> &'static str {
        "down"
    }

    async fn open(&self, _: &str, _: &Path) -> Result<Arc<dyn Store>> {
        Err(Error::new(ErrorKind::Unavailable, "open the store", "the bucket does not answer"))
    }
}

#[derive(Debug, Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A folder with a configuration, and the command in it.
#[derive(Debug)]
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub app: App,
    pub toy: Toy,
    /// The file that the pipeline names for summaries.
    pub summary: Option<String>,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: u8,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

impl Bench {
    /// Two releases, the newer one running.
    pub fn new(configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rollback.toml"), configuration).unwrap();
        let toy = Toy::new(&["v1", "v2"]);
        let app = App::new().driver(toy.clone()).store(Kept::default()).store(Down);
        Self { folder, app, toy, summary: None }
    }

    /// Runs a command without a terminal; words are separated by spaces.
    pub async fn run(&self, line: &str) -> Ran {
        self.with(line, None).await
    }

    /// Runs a command; on terminals if a person types something.
    pub async fn with(&self, line: &str, typed: Option<&str>) -> Ran {
        let (out, err) = (Buffer::default(), Buffer::default());
        let summary = self.summary.clone();
        let variable = move |name: &str| match name {
            "SECRET" => Some("hunter22".to_owned()),
            "GITHUB_STEP_SUMMARY" => summary.clone(),
            "NO_COLOR" => Some("1".to_owned()),
            _ => None,
        };
        let mut console =
            Console::plain(self.folder.path(), out.clone(), err.clone()).with_variables(variable);
        if let Some(typed) = typed {
            let terminals = Terminals { input: true, output: true, errors: true };
            console = console.with_input(std::io::Cursor::new(typed.to_owned()), terminals);
        }
        // `_` stands for a space inside of a word.
        let words = line.split_whitespace().map(|word| word.replace('_', " "));
        let exit = self.app.run(std::iter::once("rollback".to_owned()).chain(words), &console).await;
        Ran { code: exit.code(), out: out.text(), err: err.text() }
    }

    pub fn current(&self) -> String {
        self.toy.0.lock().unwrap().current.clone()
    }
}
