//! What the command shows of a hostile store, and store URLs on their way from the file to the opener.

use std::cell::RefCell;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rollback_cli::{App, Console, StoreOpener};
use rollback_core::store::MemoryStore;
use rollback_core::{Result, Store};

use crate::driver::Toy;
use crate::lines;
use crate::world::{Lab, in_virtual_time};

/// The first line is the URL of the store, the others are its records. Every reading command shows them in safe text.
pub(crate) fn check(data: &[u8]) {
    let (url, records) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &b""[..]),
    };
    let Ok(url) = std::str::from_utf8(url) else { return };
    let lines = lines::read(records);
    let run = lines.iter().find_map(|line| line.key.as_str().strip_prefix("runs/"));
    let run = run.unwrap_or("0193");
    FOLDER.with(|folder| {
        folder.configure(url);
        in_virtual_time(async {
            let lab = Lab::new().await;
            lab.load(&lines).await;
            let app = ["sqlite", "memory", "s3"]
                .into_iter()
                .fold(App::new().driver(Toy(lab.web.clone())), |app, scheme| {
                    app.store(Held(scheme, lab.store.clone()))
                });
            for arguments in [&["runs"][..], &["show", run], &["status"], &["history", "web"]] {
                let text = said(&app, folder.0.path(), arguments).await;
                let hostile = text.chars().find(|c| *c != '\n' && hides(*c));
                assert!(hostile.is_none(), "{arguments:?} shows {hostile:?} in {text:?}");
                // Tables pad each cell to the widest one of its column.
                assert!(text.len() <= 65_536 + 400 * data.len(), "{arguments:?} shows {} bytes", text.len());
            }
            let json = said(&app, folder.0.path(), &["--output", "json", "show", run]).await;
            let read = serde_json::Deserializer::from_str(&json).into_iter::<serde_json::Value>().next();
            assert!(matches!(read, Some(Ok(_))), "no JSON: {json:?}");
        });
    });
}

/// Control characters, and marks that hide or turn text around.
fn hides(c: char) -> bool {
    let marks =
        ['\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2066}'..='\u{2069}', '\u{feff}'..='\u{feff}'];
    c.is_control() || marks.iter().any(|range| range.contains(&c))
}

thread_local! {
    static FOLDER: Folder = Folder(tempfile::tempdir().expect("a temporary folder"), RefCell::new(None));
}

/// A folder with a configuration, written anew when the URL is another one.
struct Folder(tempfile::TempDir, RefCell<Option<String>>);

impl Folder {
    fn configure(&self, url: &str) {
        let mut written = self.1.borrow_mut();
        if written.as_deref() != Some(url) {
            let url_text = toml::Value::String(url.to_owned());
            let text = format!("store = {url_text}\n[components.web]\ndriver = \"toy\"\n");
            std::fs::write(self.0.path().join("rollback.toml"), text)
                .expect("a folder of our own can be written");
            *written = Some(url.to_owned());
        }
    }
}

/// Everything that a command wrote.
async fn said(app: &App, folder: &Path, arguments: &[&str]) -> String {
    let out = Output::default();
    let console = Console::plain(folder, out.clone(), out.clone());
    let program = std::iter::once("rollback");
    let _exit = app.run(program.chain(arguments.iter().copied()), &console).await;
    let bytes = out.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    String::from_utf8(bytes).expect("commands write UTF-8")
}

#[derive(Debug, Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One store under any location: no input opens a file.
struct Held(&'static str, MemoryStore);

#[async_trait]
impl StoreOpener for Held {
    fn scheme(&self) -> &'static str {
        self.0
    }

    async fn open(&self, _: &str, _: &Path) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(self.1.clone()))
    }
}
