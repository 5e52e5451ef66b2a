//! The size of the binary that is shipped.

use crate::measure::number;
use crate::report::{Section, Table};
use crate::{Result, site};

pub(crate) fn measure() -> Result<Section> {
    let binary = site::binary()?;
    let bytes = std::fs::metadata(&binary)?.len();
    let mut table = Table::new(["binary", "MiB"]);
    table.row(["rollback, stripped".to_owned(), number(bytes as f64 / (1024.0 * 1024.0))]);
    Ok(Section { name: "size", tables: vec![table] })
}
