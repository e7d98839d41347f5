//! Writes a report as a workbook: figures are numbers and times are dates, so that they can be computed with.

use rust_xlsxwriter::{
    Chart, ChartAxisCrossing, ChartFormat, ChartLine, ChartLineDashType, ChartMarker, ChartSolidFill, ChartType,
    DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError,
};

use super::clock::Clock;
use super::document::{Block, CHART_DATA, Cell, Document, Fact, HISTOGRAM, PROBABILITY, Place, Table};

const SUMMARY: &str = "Summary";
/// What is drawn of a chart, in the order of its columns: the plotted value, LCL, centre and UCL.
const COLOURS: [&str; 4] = ["#1d4f8f", "#a01318", "#0b6130", "#a01318"];
const QUIET: &str = "#9aa7b8";
/// Excel ends a text there.
const LONGEST_TEXT: usize = 32_000;
const WIDEST: usize = 60;
/// Rows that say how wide a column is.
const MEASURED: usize = 200;

/// How cells look.
struct Looks {
    head: Format,
    title: Format,
    heading: Format,
    name: Format,
    wrapped: Format,
    warning: Format,
    time: Format,
}

impl Looks {
    fn new() -> Self {
        let top = || Format::new().set_align(FormatAlign::Top);
        Self {
            head: top()
                .set_bold()
                .set_background_color("#EEF1F4")
                .set_border_bottom(FormatBorder::Thin)
                .set_text_wrap(),
            title: Format::new().set_bold().set_font_size(16),
            heading: Format::new().set_bold().set_font_size(12),
            name: top().set_font_color("#4A525A"),
            wrapped: top().set_text_wrap(),
            warning: Format::new().set_bold().set_font_color("#8A4B00"),
            time: top().set_num_format("yyyy-mm-dd hh:mm:ss").set_align(FormatAlign::Left),
        }
    }

    fn number(places: usize) -> Format {
        let form = if places == 0 { "0".to_owned() } else { format!("0.{}", "0".repeat(places)) };
        Format::new().set_align(FormatAlign::Top).set_num_format(form)
    }
}

/// The file.
pub(crate) fn write(document: &Document) -> Result<Vec<u8>, XlsxError> {
    let looks = Looks::new();
    let mut workbook = Workbook::new();
    workbook.set_properties(&properties(document)?);
    summary(workbook.add_worksheet(), document, &looks)?;
    for block in &document.blocks {
        let Block::Table(table) = block else { continue };
        let (Place::Sheet(name) | Place::SheetOnly(name)) = table.place else { continue };
        let sheet = workbook.add_worksheet();
        page(sheet.set_name(name)?, document);
        sheet.set_landscape().set_freeze_panes(1, 0)?.set_repeat_rows(0, 0)?;
        add_table(sheet, 0, table, document, &looks)?;
        let last = u32::try_from(table.rows.len()).unwrap_or(u32::MAX);
        let columns = u16::try_from(table.columns.len()).unwrap_or(u16::MAX);
        if last > 0 && columns > 0 {
            sheet.autofilter(0, 0, last, columns - 1)?;
        }
        widths(sheet, table, &document.clock)?;
    }
    if let Some(points) = drawn_from(document, CHART_DATA) {
        charts(&mut workbook, document, points)?;
    }
    if let Some(bins) = drawn_from(document, HISTOGRAM) {
        workbook.worksheet_from_name(HISTOGRAM)?.insert_chart(1, 6, &histogram(last_row(bins)))?;
    }
    if let Some(ranked) = drawn_from(document, PROBABILITY) {
        workbook.worksheet_from_name(PROBABILITY)?.insert_chart(1, 7, &probability_plot(last_row(ranked)))?;
    }
    workbook.save_to_buffer()
}

fn properties(document: &Document) -> Result<DocProperties, XlsxError> {
    let made = ExcelDateTime::from_timestamp(document.made.div_euclid(1_000_000))?;
    Ok(DocProperties::new()
        .set_title(format!("{}: {}", document.title, document.subject))
        .set_author(document.author.clone())
        .set_comment(document.foot.clone())
        .set_creation_datetime(&made))
}

/// A4, as wide as the paper, with its page.
fn page(sheet: &mut Worksheet, document: &Document) {
    // An ampersand begins an instruction there.
    let foot = document.foot.replace('&', "&&");
    sheet.set_paper_size(9).set_print_fit_to_pages(1, 0).set_footer(format!("&L{foot}&RPage &P of &N"));
}

fn summary(sheet: &mut Worksheet, document: &Document, looks: &Looks) -> Result<(), XlsxError> {
    page(sheet.set_name(SUMMARY)?, document);
    sheet.set_column_width(0, 34)?.set_column_width(1, 40)?;
    for column in 2..8 {
        sheet.set_column_width(column, 18)?;
    }
    sheet.write_string_with_format(0, 0, &document.title, &looks.title)?;
    sheet.write_string(1, 0, &document.subject)?;
    let mut row = 3;
    for block in &document.blocks {
        match block {
            Block::Heading(words) => {
                sheet.write_string_with_format(row + 1, 0, words, &looks.heading)?;
                row += 2;
            }
            Block::Note(words) => {
                sheet.write_string(row, 0, words)?;
                row += 1;
            }
            Block::Warning(words) => {
                sheet.write_string_with_format(row, 0, words, &looks.warning)?;
                row += 1;
            }
            Block::Facts(facts) => row = add_facts(sheet, row, facts, document, looks)?,
            Block::Table(table) if table.place == Place::Summary => {
                row = add_table(sheet, row, table, document, looks)? + 1;
            }
            Block::Table(Table { place: Place::Sheet(name), .. }) => {
                sheet.write_string(row, 0, format!("See the sheet “{name}”."))?;
                row += 1;
            }
            Block::Table(_) | Block::Figures(_) => {}
            Block::Signatures(signers) => row = add_signatures(sheet, row, signers, looks)?,
        }
    }
    Ok(())
}

fn add_facts(
    sheet: &mut Worksheet,
    first: u32,
    facts: &[Fact],
    document: &Document,
    looks: &Looks,
) -> Result<u32, XlsxError> {
    let mut row = first;
    for fact in facts {
        sheet.write_string_with_format(row, 0, &fact.name, &looks.name)?;
        match &fact.cell {
            // The figure, and beside it what it is in words: with its unit of measure.
            Cell::Phrase(value, words) if value.is_finite() => {
                sheet.write_number_with_format(row, 1, *value, &Format::new().set_align(FormatAlign::Left))?;
                sheet.write_string(row, 2, words)?;
            }
            cell => add_cell(sheet, (row, 1), cell, document, looks)?,
        }
        row += 1;
    }
    Ok(row)
}

/// Writes a table and gives the row after it.
fn add_table(
    sheet: &mut Worksheet,
    first: u32,
    table: &Table,
    document: &Document,
    looks: &Looks,
) -> Result<u32, XlsxError> {
    for (column, head) in (0..).zip(&table.columns) {
        sheet.write_string_with_format(first, column, &head.title, &looks.head)?;
    }
    let mut row = first + 1;
    for cells in &table.rows {
        for (column, cell) in (0..).zip(cells) {
            add_cell(sheet, (row, column), cell, document, looks)?;
        }
        row += 1;
    }
    Ok(row)
}

fn add_cell(
    sheet: &mut Worksheet,
    (row, column): (u32, u16),
    cell: &Cell,
    document: &Document,
    looks: &Looks,
) -> Result<(), XlsxError> {
    match cell {
        // An empty cell is no figure to a workbook; "–" would be a text among numbers.
        Cell::None => return Ok(()),
        Cell::Number(value, places) if value.is_finite() => {
            sheet.write_number_with_format(row, column, *value, &Looks::number(*places))?
        }
        Cell::Phrase(value, _) if value.is_finite() => sheet.write_number(row, column, *value)?,
        Cell::Integer(value) => sheet.write_number(row, column, *value as f64)?,
        Cell::Time(time) => return add_time(sheet, (row, column), *time, &document.clock, looks),
        Cell::Utc(time) => return add_time(sheet, (row, column), *time, &Clock::utc(), looks),
        cell => {
            let text: String = cell.shown(&document.clock).chars().take(LONGEST_TEXT).collect();
            sheet.write_string_with_format(row, column, text, &looks.wrapped)?
        }
    };
    Ok(())
}

/// A date of the workbook: days of the wall since 1900.
fn add_time(
    sheet: &mut Worksheet,
    (row, column): (u32, u16),
    time: i64,
    clock: &Clock,
    looks: &Looks,
) -> Result<(), XlsxError> {
    const DAYS_TO_1970: f64 = 25_569.0;
    let Some(seconds) = clock.wall_seconds(time) else { return Ok(()) };
    sheet.write_number_with_format(row, column, seconds / 86_400.0 + DAYS_TO_1970, &looks.time)?;
    Ok(())
}

fn add_signatures(sheet: &mut Worksheet, first: u32, signers: &[&str], looks: &Looks) -> Result<u32, XlsxError> {
    for (column, title) in (0..).zip(["", "Name", "Date", "Signature"]) {
        sheet.write_string_with_format(first, column, title, &looks.head)?;
    }
    let lined = Format::new().set_border_bottom(FormatBorder::Thin);
    let mut row = first + 1;
    for signer in signers {
        sheet.set_row_height(row, 28)?;
        sheet.write_string(row, 0, *signer)?;
        for column in 1..4 {
            sheet.write_blank(row, column, &lined)?;
        }
        row += 1;
    }
    Ok(row)
}

/// As wide as what is in the columns.
fn widths(sheet: &mut Worksheet, table: &Table, clock: &Clock) -> Result<(), XlsxError> {
    for (column, (place, head)) in (0..).zip(table.columns.iter().enumerate()) {
        let longest = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let cells = table.rows.iter().take(MEASURED).filter_map(|row| row.get(place));
        let wide = cells.map(|cell| longest(&cell.shown(clock))).chain([longest(&head.title)]).max().unwrap_or(0);
        // The button of the filter covers the end of a head.
        sheet.set_column_width(column, (wide.min(WIDEST) + 4) as f64)?;
    }
    Ok(())
}

/// What a sheet that charts are drawn from holds.
fn drawn_from<'d>(document: &'d Document, name: &str) -> Option<&'d Table> {
    document.blocks.iter().find_map(|block| match block {
        Block::Table(table) if matches!(table.place, Place::SheetOnly(known) if known == name) => Some(table),
        _ => None,
    })
}

fn last_row(table: &Table) -> u32 {
    u32::try_from(table.rows.len()).unwrap_or(u32::MAX)
}

/// The control chart as Excel draws it, from the sheet with its data.
fn charts(workbook: &mut Workbook, document: &Document, points: &Table) -> Result<(), XlsxError> {
    let rows = last_row(points);
    let has = |column: u16| {
        points.rows.iter().any(|row| row.get(usize::from(column)).is_some_and(|cell| *cell != Cell::None))
    };
    // The plotted value stands before its lower limit, and so it does below.
    let lower = points.columns.iter().enumerate().filter(|(_, column)| column.title.ends_with("LCL"));
    let firsts = lower.filter_map(|(place, _)| u16::try_from(place.checked_sub(1)?).ok());
    let sheet = workbook.add_worksheet();
    page(sheet.set_name("Chart")?, document);
    sheet.set_landscape();
    for ((row, height), first) in [(0, 380), (20, 220)].into_iter().zip(firsts) {
        if !has(first) {
            continue;
        }
        let mut chart = Chart::new(ChartType::Line);
        for (place, colour) in (0..).zip(COLOURS) {
            let column = first + place;
            if !has(column) {
                continue;
            }
            let mut line = ChartLine::new();
            line.set_color(colour).set_width(if place == 0 { 1.0 } else { 1.25 });
            if place == 1 || place == 3 {
                line.set_dash_type(ChartLineDashType::Dash);
            }
            let series = chart.add_series();
            series
                .set_name((CHART_DATA, 0, column))
                .set_categories((CHART_DATA, 1, 0, rows, 0))
                .set_values((CHART_DATA, 1, column, rows, column))
                .set_format(ChartFormat::new().set_line(&line))
                .set_marker(ChartMarker::new().set_none());
        }
        chart.set_width(1000).set_height(height);
        chart.title().set_name((CHART_DATA, 0, first));
        sheet.insert_chart(row, 0, &chart)?;
    }
    Ok(())
}

/// Bars of what was measured, and the line of what the fitted distribution expects.
fn histogram(rows: u32) -> Chart {
    let mut bars = Chart::new(ChartType::Column);
    bars.add_series()
        .set_name((HISTOGRAM, 0, 2))
        .set_categories((HISTOGRAM, 1, 0, rows, 0))
        .set_values((HISTOGRAM, 1, 2, rows, 2))
        .set_gap(5)
        .set_format(ChartFormat::new().set_solid_fill(ChartSolidFill::new().set_color(QUIET)));
    let mut curve = Chart::new(ChartType::Line);
    let mut line = ChartLine::new();
    line.set_color(COLOURS[0]).set_width(1.5);
    curve
        .add_series()
        .set_name((HISTOGRAM, 0, 3))
        .set_categories((HISTOGRAM, 1, 0, rows, 0))
        .set_values((HISTOGRAM, 1, 3, rows, 3))
        .set_format(ChartFormat::new().set_line(&line))
        .set_marker(ChartMarker::new().set_none())
        .set_smooth(true);
    bars.combine(&curve).set_width(640).set_height(360);
    bars.title().set_name(HISTOGRAM);
    bars
}

/// Values against the scores that their ranks have in a normal distribution, and where the fitted one expects them.
fn probability_plot(rows: u32) -> Chart {
    let mut plot = Chart::new(ChartType::Scatter);
    plot.add_series()
        .set_name((PROBABILITY, 0, 0))
        .set_categories((PROBABILITY, 1, 0, rows, 0))
        .set_values((PROBABILITY, 1, 3, rows, 3))
        .set_marker(ChartMarker::new().set_size(4));
    let mut line = ChartLine::new();
    line.set_color(COLOURS[1]).set_width(1.25);
    plot.add_series()
        .set_name((PROBABILITY, 0, 4))
        .set_categories((PROBABILITY, 1, 4, rows, 4))
        .set_values((PROBABILITY, 1, 3, rows, 3))
        .set_format(ChartFormat::new().set_line(&line))
        .set_marker(ChartMarker::new().set_none());
    plot.set_width(640).set_height(420);
    plot.title().set_name(PROBABILITY);
    plot.y_axis().set_name("Normal score").set_crossing(ChartAxisCrossing::Min);
    plot.x_axis().set_crossing(ChartAxisCrossing::Min);
    plot
}
