//! A small plant with a real store, for tests.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use oee::plant::Plant;
use storage::{Disk, LocalDisk, Options, Store};

use crate::admit::Limits;
use crate::intake::{Intake, now_us};
use crate::schema::table_specs;

const PLANT: &str = r#"
[plant]
name = "t"
zone = "Europe/Berlin"
[[equipment]]
path = "cologne"
[[equipment]]
path = "cologne/press"
[[topics]]
pattern = "plant/{machine}/{signal...}"
equipment = "cologne/{machine}"
signal = "{signal}"
[[topics]]
pattern = "flat/{machine}"
equipment = "cologne/{machine}"
[[line_protocol]]
measurement = "machine"
equipment = "cologne/{machine}"
"#;

/// An intake with its store, in a folder that goes with it.
pub(crate) struct Fixture {
    pub(crate) intake: Arc<Intake>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new(limits: Limits) -> Self {
        Self::on(Arc::new(LocalDisk), limits)
    }

    /// With its log on a disk of the test's own.
    pub(crate) fn on(disk: Arc<dyn Disk>, limits: Limits) -> Self {
        Self::with(disk, limits, "")
    }

    /// With more lines in its plant.
    pub(crate) fn of_plant(more: &str) -> Self {
        Self::with(Arc::new(LocalDisk), Limits::default(), more)
    }

    fn with(disk: Arc<dyn Disk>, limits: Limits, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            linger: Duration::from_millis(1),
            wal_file_bytes: 1 << 20,
            flush_interval: Duration::from_secs(3600),
            flush_rows: usize::MAX,
            hot_bytes: 1 << 30,
            segment_rows: 4 << 20,
            clock: Arc::new(now_us),
            disk,
            retention: std::collections::BTreeMap::new(),
            tiering: None,
        };
        let store = Store::open(&folder.path().join("data"), table_specs(), options).unwrap();
        let plant = Plant::parse(&format!("{PLANT}{more}")).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let intake = Intake::start(Arc::new(store), Arc::new(plant), limits).unwrap();
        Self { intake, _folder: folder }
    }

    /// Current rows of a table.
    pub(crate) fn rows(&self, table: &str) -> RecordBatch {
        self.intake.store().snapshot().table(table).unwrap().rows().unwrap()
    }

    /// Named columns of a table as text, one string a row, values joined with `|`, NULL as `-`.
    pub(crate) fn show(&self, table: &str, columns: &[&str]) -> Vec<String> {
        let rows = self.rows(table);
        let texts: Vec<_> =
            columns.iter().map(|name| cast(rows.column_by_name(name).unwrap(), &DataType::Utf8).unwrap()).collect();
        let shown = |row: usize| {
            texts.iter().map(move |text| text.as_string::<i32>().iter().nth(row).flatten().unwrap_or("-").to_owned())
        };
        (0..rows.num_rows()).map(|row| shown(row).collect::<Vec<_>>().join("|")).collect()
    }
}
