//! Incidents that a watcher remembers.

use rollback_core::condition::Baseline;
use rollback_core::engine::RunDetails;
use rollback_watch::Plot;

use super::{Component, Incident, Measured, Point};

impl Incident {
    /// What a watcher remembers of an incident, with the run that it led to, where there was one.
    #[must_use]
    pub fn of_watched(watched: &rollback_watch::Incident, run: Option<&RunDetails>) -> Self {
        let mut incident = run.map_or_else(|| Self::without_run(watched), Self::of_run);
        for plot in &watched.samples {
            let mut measured = of_plot(plot);
            measured.fired = watched.triggers.contains(&measured.name).then_some(watched.fired_at);
            incident = incident.rule(measured);
        }
        if let Some(last) = watched.decisions.last() {
            incident = incident.decided(last.decision.clone(), watched.severity, last.at);
        }
        // These it knows better: samples of long ago are not kept.
        incident.times.first_bad = Some(watched.since);
        incident.times.detected = Some(watched.fired_at);
        incident.times.deployed = watched.deployed_at;
        incident.times.restored = watched.over_at;
        incident.automatic = true;
        incident
    }

    fn without_run(watched: &rollback_watch::Incident) -> Self {
        let mut incident = Self::new(watched.environment.clone());
        incident.reason = Some(watched.describe());
        incident.components = vec![Component {
            component: watched.component.clone(),
            from: Some((&watched.bad).into()),
            to: None,
            state: watched.state,
            summary: "nothing was done".to_owned(),
            parts: Vec::new(),
            actions: Vec::new(),
            gates: Vec::new(),
            errors: Vec::new(),
            next: Vec::new(),
            undone_by: Vec::new(),
            findings: Vec::new(),
            way_back: None,
            journal: Vec::new(),
        }];
        incident
    }
}

fn of_plot(plot: &Plot) -> Measured {
    let mut measured = Measured::new(&plot.trigger, &plot.rule, Baseline::default());
    let points = plot.points.iter().map(|point| Point::new(point.at, point.value, point.bad));
    measured.points = points.collect();
    measured
}
