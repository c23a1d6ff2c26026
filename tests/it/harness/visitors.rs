//! Visitors in a test's imagination: as many as the test says, and they ring for apps that sleep as the router does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use penstock::idling::{Bell, Visited, Visits};
use penstock::name::Id;

/// Whoever visits.
pub struct Visitors {
    bell: Arc<Bell>,
    visits: Mutex<HashMap<Id, Visits>>,
}

impl Visitors {
    pub fn new(bell: Arc<Bell>) -> Visitors {
        Visitors {
            bell,
            visits: Mutex::default(),
        }
    }

    /// Somebody has come, and has left again.
    pub fn visit(&self, app: Id) {
        self.stay(app);
        self.leave(app);
    }

    /// Somebody has come and stays.
    pub fn stay(&self, app: Id) {
        let mut visits = self.visits.lock().unwrap();
        let visits = visits.entry(app).or_default();
        visits.begun += 1;
        visits.under_way += 1;
    }

    pub fn leave(&self, app: Id) {
        self.visits.lock().unwrap().get_mut(&app).unwrap().under_way -= 1;
    }

    /// Somebody stands before an app that sleeps.
    pub fn ring(&self, app: Id) {
        self.visit(app);
        self.bell.ring(app);
    }
}

impl Visited for Visitors {
    fn visits(&self, app: Id) -> Visits {
        let visits = self.visits.lock().unwrap();
        visits.get(&app).copied().unwrap_or_default()
    }
}
