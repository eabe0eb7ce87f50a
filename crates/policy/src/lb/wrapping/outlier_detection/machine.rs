use std::sync::Arc;
use std::time::Instant;

use evenkeel_core::{EndpointStats, EndpointView, View};

use super::algorithms::{Bucket, Outlier, failure_percentage, success_rate};
use super::{Ejected, OutlierDetectionConfig};
use crate::lb::shared::kept::Kept;
use crate::lb::shared::random::Random;
use crate::time::after;

/// Who is ejected, and until when.
#[derive(Debug)]
pub(super) struct Machine {
    config: OutlierDetectionConfig,
    endpoints: Kept<Record>,
    /// When the interval began that is counted for; none while nothing is compared.
    started: Option<Instant>,
}

/// What is known of one endpoint.
#[derive(Debug)]
struct Record {
    /// Its counters at the start of the interval.
    counted: Bucket,
    ejection: Option<Ejection>,
    /// How many ejections count against it, the present one included.
    multiplier: u32,
}

#[derive(Debug)]
struct Ejection {
    at: Instant,
    error: Arc<Ejected>,
}

impl Record {
    fn new(stats: &EndpointStats) -> Self {
        Self {
            counted: counters(stats),
            ejection: None,
            multiplier: 0,
        }
    }

    /// What was counted since this was called last.
    fn turn(&mut self, stats: &EndpointStats) -> Bucket {
        let now = counters(stats);
        let before = std::mem::replace(&mut self.counted, now);
        Bucket {
            succeeded: now.succeeded.saturating_sub(before.succeeded),
            failed: now.failed.saturating_sub(before.failed),
        }
    }
}

fn counters(stats: &EndpointStats) -> Bucket {
    Bucket {
        succeeded: stats.succeeded(),
        failed: stats.failed(),
    }
}

impl Machine {
    pub(super) fn new(config: OutlierDetectionConfig) -> Self {
        Self {
            config,
            endpoints: Kept::default(),
            started: None,
        }
    }

    /// From the next update on. An interval that runs goes on, and ends when the new one would.
    pub(super) const fn configure(&mut self, config: OutlierDetectionConfig) {
        self.config = config;
    }

    /// Takes in who is there now, and sweeps when it is time.
    pub(super) fn update(&mut self, now: Instant, view: &View<'_>) {
        if !self.config.compares() {
            self.endpoints.clear();
            self.started = None;
            return;
        }
        let record = |one: &EndpointView| Record::new(&one.stats);
        self.endpoints.follow(view.endpoints, |one| one.id, record);
        let due = self.wake_at();
        if due.is_some_and(|due| due <= now) {
            self.sweep(now, view);
        }
        if due.is_none_or(|due| due <= now) {
            self.started = Some(now);
        }
    }

    /// When the next sweep is due.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.started
            .map(|started| after(started, self.config.sweep_interval()))
    }

    /// Why the endpoint at `place` is ejected, if it is.
    pub(super) fn ejected(&self, place: usize) -> Option<&Arc<Ejected>> {
        if place >= self.endpoints.len() {
            return None;
        }
        let ejection = self.endpoints.at(place).ejection.as_ref();
        ejection.map(|ejection| &ejection.error)
    }

    fn sweep(&mut self, now: Instant, view: &View<'_>) {
        let records = self.endpoints.iter_mut().zip(view.endpoints);
        let buckets: Vec<_> = records
            .map(|(record, one)| record.turn(&one.stats))
            .collect();
        let mut random = Random::new(view.random);
        if let Some(config) = &self.config.success_rate {
            let outliers = success_rate(config, &buckets);
            self.eject(now, &outliers, config.enforcement_percentage, &mut random);
        }
        if let Some(config) = &self.config.failure_percentage {
            let outliers = failure_percentage(config, &buckets);
            self.eject(now, &outliers, config.enforcement_percentage, &mut random);
        }
        for record in self.endpoints.iter_mut() {
            match &record.ejection {
                None => record.multiplier = record.multiplier.saturating_sub(1),
                Some(ejection) => {
                    let time = self.config.ejection_time(record.multiplier);
                    if now > after(ejection.at, time) {
                        record.ejection = None;
                    }
                }
            }
        }
    }

    fn eject(&mut self, now: Instant, outliers: &[Outlier], percent: u32, random: &mut Random) {
        if outliers.is_empty() {
            return;
        }
        let is_ejected = |record: &&Record| record.ejection.is_some();
        let mut ejected = self.endpoints.iter().filter(is_ejected).count();
        let most = self.config.max_ejection_percent as usize * self.endpoints.len();
        for outlier in outliers {
            if ejected * 100 >= most {
                return;
            }
            let record = self.endpoints.at_mut(outlier.place);
            if record.ejection.is_some() || random.below(100) >= percent as usize {
                continue;
            }
            record.multiplier = record.multiplier.saturating_add(1);
            let error = Arc::new(Ejected {
                ejection_time: self.config.ejection_time(record.multiplier),
                reason: outlier.reason,
            });
            record.ejection = Some(Ejection { at: now, error });
            ejected += 1;
        }
    }
}

#[cfg(test)]
mod tests;
