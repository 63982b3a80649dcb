//! What the system says about this process. Each figure is absent where the system does not tell.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    /// User and system time of all threads, in seconds.
    pub(super) cpu: f64,
    /// Bytes.
    pub(super) resident: Option<u64>,
    /// Bytes.
    pub(super) virtual_memory: Option<u64>,
    pub(super) open_files: Option<u64>,
    /// `None` without a limit.
    pub(super) max_files: Option<u64>,
}

impl Process {
    pub(super) fn read() -> Self {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let mut pages = statm.split_ascii_whitespace().map(|field| field.parse::<u64>().ok());
        let mut bytes =
            || pages.next().flatten().map(|pages| pages.saturating_mul(rustix::param::page_size() as u64));
        let (virtual_memory, resident) = (bytes(), bytes());
        Self {
            cpu: time.tv_sec as f64 + time.tv_nsec as f64 / 1e9,
            resident,
            virtual_memory,
            // One of them is the directory that is being read.
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|files| (files.count() as u64).saturating_sub(1)),
            max_files: getrlimit(Resource::Nofile).current,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn the_figures_are_plausible() {
        let process = Process::read();
        assert!(process.cpu > 0.0 && process.cpu < 1e6, "{process:?}");
        let (resident, virtual_memory) = (process.resident.unwrap(), process.virtual_memory.unwrap());
        assert!(resident > 1 << 19 && resident < virtual_memory, "{process:?}");
        assert!(process.open_files.unwrap() >= 3, "{process:?}");
    }
}
