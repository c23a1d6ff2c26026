//! Which dynos are there to be measured, and by what.
//!
//! It must not know how memory is counted, nor what is done about a dyno that takes too much.

use super::process::Place;
use crate::name::Id;
use crate::shim::memory::Measured;

impl Place {
    /// Those of these dynos that run, each with its quota in bytes.
    pub fn measured(&self, quotas: Vec<(Id, u64)>) -> Vec<Measured> {
        let running = self.running();
        let measured = quotas.into_iter().filter_map(|(dyno, quota)| {
            Some(Measured {
                dyno,
                shim: running.get(&dyno)?.shim,
                cgroup: self.isolation.cgroup(dyno),
                quota,
            })
        });
        measured.collect()
    }
}
