//! Ratios of a report: OEE and its factors, and indicators of ISO 22400-2.
//!
//! A ratio whose denominator is zero is none. Nothing is capped: a performance above 1 says that the ideal cycle
//! time is too slow, and hiding it would hide that. What there is, how it is computed and when it is none stands in
//! [`INDICATORS`].

mod indicator;

pub use indicator::{INDICATORS, Indicator};

use crate::count::Unjudged;
use crate::machine::Report;
use crate::seconds;

/// Ratios of one report.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kpi {
    /// (run + micro-stops) / planned production.
    pub availability: Option<f64>,
    /// Ideal time of all pieces / (run + micro-stops); ISO 22400 calls it effectiveness.
    pub performance: Option<f64>,
    /// Ideal time of good pieces / ideal time of all pieces, so that A · P · Q is OEE over mixed products too.
    pub quality: Option<f64>,
    /// Ideal time of good pieces / planned production.
    pub oee: Option<f64>,
    /// Ideal time of good pieces / scheduled.
    pub ooe: Option<f64>,
    /// Ideal time of good pieces / calendar.
    pub teep: Option<f64>,
    /// Planned production / calendar.
    pub utilization: Option<f64>,
    /// Good pieces / pieces (GQ / PQ).
    pub quality_ratio: Option<f64>,
    /// Scrapped pieces / pieces (SQ / PQ).
    pub scrap_ratio: Option<f64>,
    /// Reworked pieces / pieces (RQ / PQ).
    pub rework_ratio: Option<f64>,
    /// Scrapped pieces / pieces planned to be scrapped (SQ / PSQ).
    pub actual_to_planned_scrap_ratio: Option<f64>,
    /// Of a serial line: pieces scrapped behind its first machine / pieces of the first machine.
    pub fall_off_ratio: Option<f64>,
    /// Pieces that were neither scrapped nor reworked / pieces.
    pub first_pass_yield: Option<f64>,
    /// Pieces per hour in which an order was in force (PQ / AOET).
    pub throughput_per_h: Option<f64>,
    /// APT / AOET.
    pub production_process_ratio: Option<f64>,
    /// AUBT / AOET.
    pub allocation_ratio: Option<f64>,
    /// Availability · effectiveness · quality ratio.
    pub oee_index: Option<f64>,
    /// AUPT / PBT · effectiveness · quality ratio.
    pub nee: Option<f64>,
    /// AUBT / PBT.
    pub allocation_efficiency: Option<f64>,
    /// APT / AUBT.
    pub utilization_efficiency: Option<f64>,
    /// APT / (APT + ADET).
    pub technical_efficiency: Option<f64>,
    /// AUST / AUPT.
    pub setup_ratio: Option<f64>,
    /// Unplanned stop time / unplanned stops, seconds.
    pub mttr_s: Option<f64>,
    /// (run + micro-stops) / unplanned stops, seconds.
    pub mtbf_s: Option<f64>,
    /// (Run + micro-stops + changeovers + no order) / unplanned stops, seconds.
    pub mttf_s: Option<f64>,
    /// Ideal time of all pieces / scheduled: pieces made of those that could be made in the shifts.
    pub equipment_load_ratio: Option<f64>,
    /// Energy / good pieces, kWh.
    pub energy_per_good_piece_kwh: Option<f64>,
    /// Energy / pieces made, good or not, kWh.
    pub energy_per_piece_kwh: Option<f64>,
    /// Cost / good pieces, in the plant's currency.
    pub cost_per_good_piece: Option<f64>,
    /// Why a ratio is none, or pieces are uncounted.
    pub reason: Option<String>,
}

fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator != 0.0).then(|| numerator / denominator)
}

fn time_ratio(numerator_us: i64, denominator_us: i64) -> Option<f64> {
    ratio(numerator_us as f64, denominator_us as f64)
}

impl Report {
    /// The ratios.
    #[must_use]
    pub fn kpi(&self) -> Kpi {
        let time = &self.elements;
        let (production_us, planned_us) = (time.production_us(), time.planned_production_us);
        let known = |value: Option<f64>| value.filter(|_| self.missing_ideal.is_none());
        let over = |ideal_s: f64, us: i64| known(ratio(ideal_s, seconds(us)));
        let stops = self.unplanned_stops as f64;
        let availability = time_ratio(production_us, planned_us);
        let performance = over(self.ideal_total_s, production_us);
        let quality_ratio = ratio(self.counts.good, self.counts.total);
        let effective = performance.zip(quality_ratio).map(|(performance, quality)| performance * quality);
        let index = |time: Option<f64>| time.zip(effective).map(|(time, effective)| time * effective);
        Kpi {
            availability,
            performance,
            quality: self.quality(quality_ratio),
            oee: over(self.ideal_good_s, planned_us),
            ooe: over(self.ideal_good_s, time.scheduled_us),
            teep: over(self.ideal_good_s, time.calendar_us),
            utilization: time_ratio(planned_us, time.calendar_us),
            quality_ratio,
            scrap_ratio: ratio(self.counts.scrap, self.counts.total),
            rework_ratio: self.reworked().and_then(|rework| ratio(rework, self.counts.total)),
            actual_to_planned_scrap_ratio: self.planned_scrap().and_then(|planned| ratio(self.counts.scrap, planned)),
            fall_off_ratio: self.fall_off.and_then(|fall_off| ratio(fall_off.scrap, fall_off.first_total)),
            first_pass_yield: self.reworked().and_then(|rework| ratio(self.counts.good - rework, self.counts.total)),
            throughput_per_h: ratio(self.counts.total * 3_600.0, seconds(time.order_us)),
            production_process_ratio: time_ratio(time.order_production_us, time.order_us),
            allocation_ratio: time_ratio(time.order_busy_us, time.order_us),
            oee_index: index(availability),
            nee: index(time_ratio(time.processing_us(), planned_us)),
            allocation_efficiency: time_ratio(time.busy_us(), planned_us),
            utilization_efficiency: time_ratio(production_us, time.busy_us()),
            technical_efficiency: time_ratio(production_us, production_us + time.delay_us()),
            setup_ratio: time_ratio(time.changeover_us, time.processing_us()),
            mttr_s: ratio(seconds(time.unplanned_us), stops),
            mtbf_s: ratio(seconds(production_us), stops),
            mttf_s: ratio(seconds(time.able_us()), stops),
            equipment_load_ratio: over(self.ideal_total_s, time.scheduled_us),
            energy_per_good_piece_kwh: self.energy.and_then(|energy| ratio(energy.total_kwh, self.counts.good)),
            energy_per_piece_kwh: self.energy.and_then(|energy| ratio(energy.total_kwh, self.counts.total)),
            cost_per_good_piece: self.cost.and_then(|cost| ratio(cost, self.counts.good)),
            reason: self.reason(),
        }
    }

    /// Pieces sent to rework [RQ]; none where that is not known of all that were made.
    fn reworked(&self) -> Option<f64> {
        self.counts.rework.filter(|_| !self.missing_inspection)
    }

    /// Pieces planned to be scrapped [PSQ]; none where that is not known of all that were made.
    #[must_use]
    pub fn planned_scrap(&self) -> Option<f64> {
        (!self.missing_planned_scrap).then_some(self.planned_scrap)
    }

    /// With one product the ideal cycle time cancels out, so it need not be known.
    fn quality(&self, quality_ratio: Option<f64>) -> Option<f64> {
        if self.missing_ideal.is_none() {
            return ratio(self.ideal_good_s, self.ideal_total_s);
        }
        let mut made = self.orders.iter().filter(|order| order.total != 0.0 || order.scrap != 0.0);
        let first = made.next()?;
        let same = |product| product == &first.product && first.product.is_some();
        quality_ratio.filter(|_| same(&first.product) && made.all(|order| same(&order.product)))
    }

    fn reason(&self) -> Option<String> {
        let time = &self.elements;
        if let Some(missing) = &self.missing_ideal {
            return Some(missing.clone());
        }
        if let Some(Unjudged::Contradiction) = &self.unjudged {
            return Some(format!(
                "{} pieces are uncounted, among them some of a row of counts whose good, scrapped or reworked pieces do not fit its \
                 total: SELECT * FROM counts WHERE greatest(good, scrap, rework) > total OR good + scrap <> total, and correct it",
                self.counts.uncounted
            ));
        }
        if let Some(Unjudged::Result(result)) = &self.unjudged {
            return Some(format!(
                "{} pieces are uncounted, among them some of operations with the result \"{result}\": say in plant.toml \
                 what it means, such as results = {{ \"{result}\" = \"fail\" }}",
                self.counts.uncounted
            ));
        }
        if self.counts.uncounted != 0.0 {
            return Some(format!(
                "{} pieces were made while no order was in force: record operations or set default_product",
                self.counts.uncounted
            ));
        }
        let reason = if time.calendar_us == 0 {
            "the window is empty or lies in the future"
        } else if time.planned_production_us == 0 {
            "no planned production time in the window"
        } else if time.production_us() == 0 {
            "no production time in the window"
        } else if self.counts.total == 0.0 {
            "no pieces in the window"
        } else {
            return None;
        };
        Some(reason.to_owned())
    }
}

#[cfg(test)]
mod tests;
