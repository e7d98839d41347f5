//! `takt demo`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use ingest::Role;
use jiff::Timestamp;
use oee::tables::TABLES;
use tokio_util::sync::CancellationToken;

use super::rendering::{Format, Rendering};
use super::serve::AddressArgs;
use super::terminal;
use crate::config::Config;
use crate::demo::{DemoTotals, PLANT, Progress, Publisher, Simulation};
use crate::server::{PlantFile, Server};
use crate::users::Directory;

const DATA: &str = "takt-demo";
/// Name under which the plant logs in once users exist.
const PLANT_LOGIN: &str = "demo-plant";
const PROGRESS_STEPS: u64 = 1_000;
const OEE: &str = "SELECT equipment, shift, availability, performance, quality, oee, total, good, scrap \
                   FROM oee('shift') WHERE time > now() - interval '8 hours' ORDER BY equipment, time";

/// A whole plant on this machine: simulated line, historian, SQL, page
///
/// Starts the server with the plant of a pump factory and a simulated line that speaks MQTT like any equipment. On first
/// start it brings some hours of history in. Nothing else is needed; the data stay in the folder takt-demo.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// End after this many seconds and print what was stored
    #[arg(long = "for", value_name = "SECONDS")]
    duration_s: Option<u64>,
    /// Seed of the simulation: the same seed makes the same pieces
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How fast simulated time passes, once history is in
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = positive)]
    speed: f64,
    /// Hours of history to bring in on first start
    #[arg(long, value_name = "HOURS", default_value_t = 8.0, value_parser = positive)]
    history_hours: f64,
    #[command(flatten)]
    addresses: AddressArgs,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("must be a number above 0".to_owned()),
    }
}

pub(super) fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let config = Config { data: PathBuf::from(DATA), ..Config::default() }.with(args.addresses.overrides(None));
    let plant = PlantFile::parse(Path::new("plant.toml of the demo"), PLANT.to_owned())?;
    refuse_another_plant(&config.data, &plant)?;
    let (directory, password) = Directory::open(&config.data)?.with_guest(PLANT_LOGIN, Role::Write)?;
    let mut server = Server::start_with(config, plant, directory)?;
    terminal::say(invitation(&server))?;

    let newest_us = newest_sample_us(&server)?;
    let now_us = Timestamp::now().as_microsecond();
    let simulation = Simulation::with_history(args.seed, now_us, args.history_hours, newest_us);
    let publisher = Publisher::new(server.addresses().mqtt).with_speed(args.speed).with_login(PLANT_LOGIN, password);
    let published = publish(&mut server, publisher, simulation, args.duration_s);
    let reported = published.and_then(|totals| match args.duration_s {
        Some(_) => report(&server, &totals),
        None => Ok(()),
    });
    server.stop().and(reported)?;
    Ok(ExitCode::SUCCESS)
}

/// The demo keeps out of folders that hold the data of something else: it would put its own plant in that one's place.
fn refuse_another_plant(data: &Path, demo: &PlantFile) -> anyhow::Result<()> {
    if !data.join("tables").is_dir() {
        return Ok(());
    }
    let kept = PlantFile::kept(data)?.plant;
    if kept.name() == demo.plant.name() {
        return Ok(());
    }
    let whose = kept.name().map_or_else(|| "another plant".to_owned(), |name| format!("the plant `{name}`"));
    anyhow::bail!(
        "{} holds the data of {whose}, which the demo would mix with its own; name another folder with --data",
        data.display()
    )
}

/// Where to look, and what to try.
fn invitation(server: &Server) -> String {
    let addresses = server.addresses();
    let (url, psql) = (addresses.url(), addresses.psql());
    let query = "SELECT time, equipment, oee FROM oee('1 hour') WHERE time > now() - interval '4 hours'";
    format!(
        "{addresses}\n\nTry\n  {url}   in a browser: the plant live\n  {psql}\n  takt sql --url {url} \"{query}\"\n\nCtrl-C ends."
    )
}

/// The newest time that the demo has stored before.
fn newest_sample_us(server: &Server) -> anyhow::Result<Option<i64>> {
    let (_, batches) = server.ask("SELECT max(time) FROM samples")?;
    let newest = batches.first().filter(|batch| batch.num_rows() > 0).map(|batch| batch.column(0));
    let newest = newest.filter(|column| column.is_valid(0));
    Ok(newest.map(|column| column.as_primitive::<TimestampMicrosecondType>().value(0)))
}

/// Publishes until the time is up, a signal comes, or the plant or the server fails.
fn publish(
    server: &mut Server,
    publisher: Publisher,
    simulation: Simulation,
    duration_s: Option<u64>,
) -> anyhow::Result<DemoTotals> {
    let stop = CancellationToken::new();
    let bar = history_bar()?;
    let plant = publisher.run(simulation, move |progress| show(&bar, progress), stop.clone().cancelled_owned());
    let mut plant = server.network().spawn(plant);
    let mut ended = None;
    let waited = server.wait(async {
        tokio::select! {
            () = time_is_up(duration_s) => {}
            early = &mut plant => ended = Some(early),
        }
    });
    stop.cancel();
    let ended = match ended {
        Some(early) => early,
        None => server.network().block_on(plant),
    };
    waited?;
    ended.context("the demo plant broke down")?
}

async fn time_is_up(duration_s: Option<u64>) {
    match duration_s {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

fn history_bar() -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("history [{wide_bar}] {percent:>3}%  {msg}")?;
    Ok(ProgressBar::new(PROGRESS_STEPS).with_style(style))
}

fn show(bar: &ProgressBar, progress: Progress) {
    if bar.is_finished() {
        return;
    }
    bar.set_position((progress.history * PROGRESS_STEPS as f64) as u64);
    bar.set_message(format!("{} messages", HumanCount(progress.acknowledged)));
    if progress.history >= 1.0 {
        bar.finish_and_clear();
    }
}

/// What was stored, from SQL like everybody's.
fn report(server: &Server, totals: &DemoTotals) -> anyhow::Result<()> {
    terminal::say(format_args!("\nmessages acknowledged  {}", totals.acknowledged))?;
    terminal::say("\nrows stored")?;
    for table in TABLES {
        let rows = count(server, table.name)?;
        if rows > 0 {
            terminal::say(format_args!("  {:16} {rows:>10}", table.name))?;
        }
    }
    terminal::say("\nOEE of the shifts of the last 8 hours")?;
    let (schema, batches) = server.ask(OEE)?;
    let mut rendering = Rendering::on_terminal(Format::Table);
    for batch in &batches {
        rendering.write(batch)?;
    }
    rendering.finish(&schema)
}

fn count(server: &Server, table: &str) -> anyhow::Result<i64> {
    let (_, batches) = server.ask(&format!("SELECT count(*) FROM {table}"))?;
    let batch =
        batches.first().filter(|batch| batch.num_rows() > 0).with_context(|| format!("{table} has no count"))?;
    Ok(batch.column(0).as_primitive::<Int64Type>().value(0))
}
