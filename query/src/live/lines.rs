//! Nodes above machines: how their running shift goes, as their machines add up to it.

use std::collections::HashMap;

use oee::live::{Now, ShiftSoFar};
use oee::plant::Plant;

use super::EquipmentNow;
use crate::functions::{Gather, Tree};

/// A node with machines below it.
#[derive(Debug)]
pub(super) struct Line {
    path: String,
    /// Its own place on the board.
    place: Option<usize>,
    /// The places of what lies below.
    machines: Vec<usize>,
}

impl Line {
    /// The nodes above others, which stand on the board in this order.
    pub(super) fn all(plant: &Plant, machines: &[&str]) -> Vec<Self> {
        let place: HashMap<&str, usize> = machines.iter().enumerate().map(|(at, path)| (*path, at)).collect();
        let lines = plant.tree().map(|node| Self {
            path: node.path.clone(),
            place: place.get(node.path.as_str()).copied(),
            machines: plant
                .descendants(&node.path)
                .filter_map(|below| place.get(below.path.as_str()))
                .copied()
                .collect(),
        });
        lines.filter(|line| !line.machines.is_empty()).collect()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn place(&self) -> Option<usize> {
        self.place
    }

    pub(super) fn machines(&self) -> &[usize] {
        &self.machines
    }

    /// The node now; none outside of its shifts, and where one of its machines works other ones.
    pub(super) fn now(&self, gather: &Gather, machines: &HashMap<&str, &Now>, changes: u64) -> Option<EquipmentNow> {
        let shifts = gather.shifts(&self.path, gather.now, gather.now.saturating_add(1));
        let shift = shifts.into_iter().find(|shift| shift.start <= gather.now && gather.now < shift.end)?;
        let below = || gather.plant.descendants(&self.path).filter_map(|node| machines.get(node.path.as_str()));
        let is_same = |now: &ShiftSoFar| (now.shift.start, now.shift.end) == (shift.start, shift.end);
        if !below().all(|now| now.shift.as_ref().is_some_and(is_same)) {
            return None;
        }
        let tree = Tree {
            plant: &gather.plant,
            at: shift.start,
            is_machine: &|path| machines.contains_key(path),
            machine: &|path| machines.get(path)?.shift.as_ref().map(|so_far| so_far.report.clone()),
        };
        let report = tree.report(&self.path)?;
        let now = Now { shift: Some(ShiftSoFar { shift, report }), ..Now::default() };
        Some(EquipmentNow { equipment: self.path.clone(), now, changes, rolled_up: true })
    }
}
