//! `takt report`.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;
use indicatif::{HumanBytes, ProgressBar};

use super::client::{Call, Client, ServerArgs, accepted, block_on, collect, query_value};
use super::terminal;

/// Write a report for people: HTML, PDF or XLSX
///
/// Asks a running server. Figures are those of SQL, as this login may see them.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(subcommand)]
    command: ReportCommand,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum ReportCommand {
    Spc(Box<SpcArgs>),
}

/// Control chart, capability, violations and data of a characteristic
///
/// One document: control chart with its limits and where they come from, capability with intervals, histogram and
/// probability plot, violations in words with unit, order, lots and signals, exclusions, every value, and lines for
/// signatures. What is not said is what was measured last.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  takt report spc press_force
  takt report spc press_force --chart xbar_r --subgroup 5 -o force.xlsx
  takt report spc leak_rate --from 2026-11-26 --to 2026-11-27 -o leak.pdf
  takt report spc flow --format html -o - > flow.html
  takt report spc bore --chart ewma --lambda 0.2 --width 2.86
  takt report spc bore --as-of 2026-11-26T12:00+01:00 -o as-signed.pdf")]
struct SpcArgs {
    /// What was measured
    #[arg(value_name = "CHARACTERISTIC")]
    characteristic: String,
    /// Path of the machine; '*' for all on one chart
    #[arg(long, value_name = "PATH")]
    equipment: Option<String>,
    /// Code of the product; '*' for all on one chart
    #[arg(long, value_name = "CODE")]
    product: Option<String>,
    /// Operation; '*' for all on one chart
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// i_mr, xbar_r, xbar_s, p, np, laney_p, c, u, laney_u, ewma, cusum, moving_average,
    /// short_run_deviation or short_run_z (of all products, unless --product names one)
    #[arg(long, value_name = "CHART", default_value = "i_mr")]
    chart: String,
    /// How values become subgroups: 5, '1 hour', shift, day, work_order …
    #[arg(long, value_name = "HOW")]
    subgroup: Option<String>,
    /// nelson, western_electric, aiag, montgomery, juran, limits, none, or single ones: N1,N2(8)
    #[arg(long, value_name = "RULES")]
    rules: Option<String>,
    /// frozen, where there are any, or own: estimated from these values
    #[arg(long, value_name = "WHICH", value_parser = ["frozen", "own"])]
    limits: Option<String>,
    /// Estimate limits from so many first subgroups
    #[arg(long, value_name = "N")]
    phase_i: Option<u32>,
    /// Limits of X̄, X and EWMA charts and moving averages: so many sigma from the centre
    #[arg(long, value_name = "SIGMAS")]
    width: Option<f64>,
    /// Mean that is known, instead of an estimated one: what a CUSUM is measured from
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    target: Option<f64>,
    /// Sigma of a single value that is known, instead of an estimated one
    #[arg(long, value_name = "VALUE")]
    sigma: Option<f64>,
    /// EWMA: weight of the newest point, above 0, at most 1
    #[arg(long, value_name = "WEIGHT")]
    lambda: Option<f64>,
    /// CUSUM: slack, in sigma
    #[arg(long, value_name = "SIGMAS")]
    k: Option<f64>,
    /// CUSUM: decision interval, in sigma
    #[arg(long, value_name = "SIGMAS")]
    h: Option<f64>,
    /// CUSUM: where both sums begin, in sigma
    #[arg(long, value_name = "SIGMAS")]
    headstart: Option<f64>,
    /// Moving average: over so many points
    #[arg(long, value_name = "N")]
    span: Option<u32>,
    /// EWMA and moving average: limits of the first points are as wide as those of later ones
    #[arg(long)]
    steady: bool,
    /// Distribution of capability: normal, lognormal, weibull, gamma, exponential, box_cox or johnson
    #[arg(long, value_name = "NAME")]
    distribution: Option<String>,
    /// First time; where it has no offset of --zone, else of the machine's zone. Without it all there is
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// End, not included; without it now
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Zone that times are shown in, such as Europe/Berlin; without it the machine's
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// As it was known at this recorded time, with its offset: values, exclusions and frozen limits of then
    #[arg(long, value_name = "TIME")]
    as_of: Option<String>,
    /// Form of the document; without it what FILE ends with, else pdf
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// File to write; - writes to standard output. Without it a name is made of characteristic and chart
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Html,
    Pdf,
    Xlsx,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Pdf => "pdf",
            Self::Xlsx => "xlsx",
        }
    }

    /// What a file's name ends with.
    fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "html" | "htm" => Some(Self::Html),
            "pdf" => Some(Self::Pdf),
            "xlsx" => Some(Self::Xlsx),
            _ => None,
        }
    }
}

/// Where a report goes.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Stdout,
    File(PathBuf),
}

pub(super) fn run(args: ReportArgs) -> anyhow::Result<ExitCode> {
    let ReportArgs { command: ReportCommand::Spc(asked), server } = args;
    let (format, target) = destination(&asked)?;
    if target == Target::Stdout && format != Format::Html && io::stdout().is_terminal() {
        bail!("a {} on a terminal cannot be read; write -o FILE", format.name());
    }
    if let Target::File(path) = &target
        && path.exists()
        && !asked.force
    {
        bail!("{} is there already; name another file with -o, or write over it with --force", path.display());
    }
    let address = address(&asked, format);
    let report = block_on(async move {
        let mut client = Client::new(&server)?;
        let spinner = ProgressBar::new_spinner().with_message("making the report");
        spinner.enable_steady_tick(Duration::from_millis(100));
        let call = Call {
            method: Method::GET,
            path: &address,
            content_type: "application/json",
            accept: "*/*",
            body: Bytes::new(),
        };
        let answer = async { collect(accepted(client.send(call).await?).await?).await }.await;
        spinner.finish_and_clear();
        answer
    })?;
    match target {
        Target::Stdout => terminal::forgive_closed_pipe(io::stdout().lock().write_all(&report))?,
        Target::File(path) => {
            write(&path, &report, asked.force)?;
            let size = HumanBytes(u64::try_from(report.len()).unwrap_or(u64::MAX));
            terminal::say(format_args!("{}: {size}", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Form and place of the document.
fn destination(asked: &SpcArgs) -> anyhow::Result<(Format, Target)> {
    let Some(file) = &asked.output else {
        let format = asked.format.unwrap_or(Format::Pdf);
        let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' };
        let name: String = format!("spc_{}_{}", asked.characteristic, asked.chart).chars().map(plain).collect();
        return Ok((format, Target::File(PathBuf::from(format!("{name}.{}", format.name())))));
    };
    if file.as_os_str() == "-" {
        return Ok((asked.format.unwrap_or(Format::Pdf), Target::Stdout));
    }
    let by_name = Format::of(file);
    let format = asked.format.or(by_name).with_context(|| {
        format!("{} ends with none of .html, .pdf and .xlsx; say which it is with --format", file.display())
    })?;
    Ok((format, Target::File(file.clone())))
}

fn address(asked: &SpcArgs, format: Format) -> String {
    let number = |number: Option<f64>| number.map(|number| number.to_string());
    let count = |count: Option<u32>| count.map(|count| count.to_string());
    let (phase_i, span) = (count(asked.phase_i), count(asked.span));
    let (width, lambda, k) = (number(asked.width), number(asked.lambda), number(asked.k));
    let (h, headstart) = (number(asked.h), number(asked.headstart));
    let (target, sigma) = (number(asked.target), number(asked.sigma));
    let steady = asked.steady.then(|| "true".to_owned());
    let said = [
        ("equipment", &asked.equipment),
        ("product", &asked.product),
        ("operation", &asked.operation),
        ("subgroup", &asked.subgroup),
        ("rules", &asked.rules),
        ("limits", &asked.limits),
        ("phase_i", &phase_i),
        ("width", &width),
        ("target", &target),
        ("sigma", &sigma),
        ("lambda", &lambda),
        ("k", &k),
        ("h", &h),
        ("headstart", &headstart),
        ("span", &span),
        ("steady", &steady),
        ("distribution", &asked.distribution),
        ("from", &asked.from),
        ("to", &asked.to),
        ("zone", &asked.zone),
        ("as_of", &asked.as_of),
    ];
    let mut address = format!(
        "/report/spc?format={}&characteristic={}&chart={}",
        format.name(),
        query_value(&asked.characteristic),
        query_value(&asked.chart)
    );
    for (name, value) in said {
        if let Some(value) = value {
            address.push_str(&format!("&{name}={}", query_value(value)));
        }
    }
    address
}

fn write(path: &Path, report: &[u8], over: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(over).truncate(over).create_new(!over);
    let mut file = options.open(path).with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(report).with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        asked: SpcArgs,
    }

    fn asked(words: &[&str]) -> SpcArgs {
        Line::try_parse_from(["spc"].iter().chain(words)).unwrap().asked
    }

    #[test]
    fn the_form_follows_from_the_name_of_the_file() {
        let to = |words: &[&str]| destination(&asked(words)).map_err(|error| error.to_string());
        let file = |name: &str| Target::File(PathBuf::from(name));
        assert_eq!(to(&["a/b"]), Ok((Format::Pdf, file("spc_a-b_i_mr.pdf"))));
        assert_eq!(to(&["a", "-o", "x.XLSX"]), Ok((Format::Xlsx, file("x.XLSX"))));
        assert_eq!(to(&["a", "-o", "x.htm"]), Ok((Format::Html, file("x.htm"))));
        assert_eq!(to(&["a", "-o", "x", "--format", "pdf"]), Ok((Format::Pdf, file("x"))));
        assert_eq!(to(&["a", "-o", "-", "--format", "html"]), Ok((Format::Html, Target::Stdout)));
        assert!(to(&["a", "-o", "x.doc"]).unwrap_err().contains("--format"));
    }

    #[test]
    fn words_survive_the_address() {
        let asked =
            asked(&["bore Ø&x", "--subgroup", "1 hour", "--from", "2026-11-26T06:00+01:00", "--equipment", "*"]);
        let address = address(&asked, Format::Pdf);
        assert!(address.contains("characteristic=bore%20%C3%98%26x&chart=i_mr"), "{address}");
        assert!(
            address.contains("subgroup=1%20hour") && address.contains("from=2026-11-26T06%3A00%2B01%3A00"),
            "{address}"
        );
        assert!(address.contains("equipment=%2A"), "{address}");
    }
}
