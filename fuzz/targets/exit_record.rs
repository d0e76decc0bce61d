//! Whatever a job writes into its task's log, it is read as an exit record, refused, or none, and a record that is read is
//! written as a line that reads back.
#![no_main]

use ecsrunner_core::wire::exit_record::{ExitRecord, MAX_BYTES, PREFIX};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    match ExitRecord::read(line) {
        Ok(None) => assert!(!line.starts_with(PREFIX)),
        Err(_) => assert!(line.starts_with(PREFIX)),
        Ok(Some(record)) => {
            assert!(line.starts_with(PREFIX));
            let _fits = record.times.fit_between(Timestamp::MIN, record.time);
            let _fits = record.times.fit_between(record.time, Timestamp::MAX);
            let written = record.to_line().expect("a record is JSON");
            assert!(written.starts_with(PREFIX) && !written.contains('\n'));
            if written.len() <= MAX_BYTES {
                let read = ExitRecord::read(&written).expect("it reads back").expect("it is a record");
                assert_eq!((read.times, read.runner, read.exit), (record.times, record.runner, record.exit));
            }
        }
    }
});
