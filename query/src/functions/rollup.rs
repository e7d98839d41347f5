//! What the machines below a node of the equipment tree add up to, as its `rollup` says.

use ::oee::line::serial;
use ::oee::machine::{OrderCount, Report};
use ::oee::plant::{Equipment, Plant, Rollup};

/// Reports of machines in the tree they stand in.
pub(crate) struct Tree<'a> {
    pub(crate) plant: &'a Plant,
    /// Which ideal cycle times are valid where no report knows one.
    pub(crate) at: i64,
    pub(crate) is_machine: &'a dyn Fn(&str) -> bool,
    /// What a machine reports, if anything.
    pub(crate) machine: &'a dyn Fn(&str) -> Option<Report>,
}

impl Tree<'_> {
    /// The report of a machine, or of what lies below a node; none where there is no machine, or none reports.
    pub(crate) fn report(&self, path: &str) -> Option<Report> {
        if (self.is_machine)(path) {
            return (self.machine)(path);
        }
        let has_machine = |child: &&Equipment| {
            let mut below = std::iter::once(*child).chain(self.plant.descendants(&child.path));
            below.any(|node| (self.is_machine)(&node.path))
        };
        let children: Vec<&str> =
            self.plant.children(path).filter(has_machine).map(|child| child.path.as_str()).collect();
        let reports: Vec<Option<Report>> = children.iter().map(|child| self.report(child)).collect();
        if self.plant.equipment(path).is_some_and(|node| node.rollup == Rollup::Serial) {
            let first = reports.iter().flatten().next()?;
            // What never reached a machine has left none behind it: the line's good pieces are those of its last machine.
            let idle = Report { start: first.start, end: first.start, ..Report::default() };
            let reports: Vec<Report> =
                reports.into_iter().map(|report| report.unwrap_or_else(|| idle.clone())).collect();
            let ideal = |machine: usize, order: &OrderCount| {
                self.plant.ideal_cycle_s(order.product.as_deref()?, children.get(machine)?, self.at)
            };
            return serial(&reports, ideal).map(|line| line.report);
        }
        let mut reports = reports.into_iter().flatten();
        let mut sum = reports.next()?;
        for report in reports {
            sum.merge(&report);
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests;
