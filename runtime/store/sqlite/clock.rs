//! The time by which old answers, log entries and histories are forgotten. What is forgotten cannot be brought back, so a
//! wall clock that jumps is not believed at once: it must first agree with the monotonic clock for an hour.
//!
//! Decides nothing about what people see: `created_at` and the times of changes are those of the wall clock.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::ids::Timestamp;

/// How far the two clocks may drift apart between two commits.
const TOLERANCE: i64 = 60_000;

/// For so long a wall clock that jumped must continue as it is before it is believed.
const DOUBT: Duration = Duration::from_secs(3600);

/// Columns of `_meta`: the steady time of the last commit, and the time in the newest id that the server made, both in
/// milliseconds. For a database that lacks them they are taken from its log.
const COLUMNS: [(&str, &str); 2] = [
    ("clock", r#"SELECT max("at") FROM "_changes""#),
    ("newest_id", r#"SELECT max("at") + 1000 FROM "_changes""#),
];

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    pub(super) wall: Timestamp,
    /// Of the monotonic clock.
    pub(super) elapsed: Duration,
}

/// What a group commit goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    /// What is older than an age is judged by this time. Never later than the wall clock.
    pub(super) forget: Timestamp,
    /// The time of an answer that is stored. Never earlier than the wall clock.
    pub(super) stamp: Timestamp,
}

/// The steady time of a writer, and the newest id that it knows of.
#[derive(Debug)]
pub(super) struct Clock {
    /// `None` in a database without a commit.
    trusted: Option<Reading>,
    /// When the wall clock was first seen elsewhere.
    doubted: Option<Reading>,
    newest_id: Timestamp,
}

impl Reading {
    /// What the wall clock should show at a later moment.
    fn after(self, elapsed: Duration) -> i64 {
        let passed = elapsed.saturating_sub(self.elapsed).as_millis();
        self.wall.0.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    fn agrees(self, later: Reading) -> bool {
        self.after(later.elapsed).abs_diff(later.wall.0) <= TOLERANCE.unsigned_abs()
    }
}

impl Clock {
    /// As the last commit left it; `elapsed` is now.
    pub(super) fn load(conn: &Connection, elapsed: Duration) -> rusqlite::Result<Clock> {
        let (wall, newest): (Option<i64>, Option<i64>) =
            conn.query_row(r#"SELECT "clock", "newest_id" FROM "_meta""#, [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let trusted = wall.map(|wall| Reading { wall: Timestamp(wall), elapsed });
        Ok(Clock { trusted, doubted: None, newest_id: Timestamp(newest.unwrap_or(0)) })
    }

    /// Takes a look at both clocks.
    pub(super) fn look(&mut self, now: Reading) -> Times {
        let trusted = self.trusted.get_or_insert(now);
        if trusted.agrees(now) {
            *trusted = now;
            self.doubted = None;
        } else {
            let since = self.doubted.filter(|since| since.agrees(now)).unwrap_or(now);
            self.doubted = Some(since);
            if now.elapsed.saturating_sub(since.elapsed) >= DOUBT {
                *trusted = now;
                self.doubted = None;
            }
        }
        let steady = Timestamp(trusted.after(now.elapsed));
        Times { forget: steady.min(now.wall), stamp: steady.max(now.wall) }
    }

    /// Notes an id that the server made.
    pub(super) fn made(&mut self, newest: Option<Timestamp>) {
        self.newest_id = self.newest_id.max(newest.unwrap_or(Timestamp(0)));
    }

    pub(super) fn newest_id(&self) -> Timestamp {
        self.newest_id
    }

    /// Belongs into the transaction of the commit.
    pub(super) fn save(&self, conn: &Connection, elapsed: Duration) -> rusqlite::Result<()> {
        let steady = self.trusted.map(|trusted| trusted.after(elapsed));
        conn.prepare_cached(r#"UPDATE "_meta" SET "clock" = ?1, "newest_id" = ?2"#)?
            .execute(params![steady, self.newest_id.0])
            .map(|_| ())
    }
}

/// Adds the columns to a database that lacks them.
pub(super) fn create_columns(conn: &Connection) -> rusqlite::Result<()> {
    for (column, value) in COLUMNS {
        let present = conn
            .query_row(r#"SELECT 1 FROM pragma_table_info('_meta') WHERE "name" = ?1"#, [column], |_| Ok(()))
            .optional()?;
        if present.is_none() {
            conn.execute_batch(&format!(
                r#"ALTER TABLE "_meta" ADD COLUMN "{column}" INTEGER; UPDATE "_meta" SET "{column}" = ({value})"#
            ))?;
        }
    }
    Ok(())
}

/// What is from before this moment is older than that.
pub(super) fn cutoff(now: Timestamp, age: std::time::Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;
    const YEAR: i64 = 365 * 24 * 3600;

    /// Seconds of both clocks → what is forgotten by, and stamped with, after each look.
    fn looks(clock: &mut Clock, readings: &[(i64, u64)]) -> Vec<(i64, i64)> {
        let look = |(wall, elapsed): &(i64, u64)| {
            let now = Reading { wall: Timestamp(wall * 1_000), elapsed: Duration::from_secs(*elapsed) };
            let Times { forget, stamp } = clock.look(now);
            (forget.0 / 1_000, stamp.0 / 1_000)
        };
        readings.iter().map(look).collect()
    }

    fn fresh() -> Clock {
        Clock { trusted: None, doubted: None, newest_id: Timestamp(0) }
    }

    #[test]
    fn clocks_that_agree_are_believed() {
        let told =
            looks(&mut fresh(), &[(1_000, 0), (1_010, 10), (1_130, 71), (1_131, 131), (99_000, 97_999)]);
        assert_eq!(told, [(1_000, 1_000), (1_010, 1_010), (1_130, 1_130), (1_131, 1_131), (99_000, 99_000)]);
    }

    #[test]
    fn two_wrong_seconds_change_nothing() {
        for wrong in [1_000 + YEAR, 1_000 - YEAR] {
            let mut clock = fresh();
            let told = looks(&mut clock, &[(1_000, 0), (wrong, 1), (wrong + 1, 2), (1_003, 3)]);
            assert_eq!(told[3], (1_003, 1_003));
            for (at, (forget, stamp)) in (1..).zip(&told[1..3]) {
                assert!(*forget <= 1_000 + at && *stamp >= 1_000 + at, "{wrong}: {told:?}");
                assert!(*forget == 1_000 + at || *stamp == 1_000 + at, "{wrong}: {told:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_stays_elsewhere_for_an_hour_is_believed() {
        for there in [1_000 + YEAR, 1_000 - YEAR] {
            let mut clock = fresh();
            let told =
                looks(&mut clock, &[(1_000, 0), (there, 0), (there + 3_599, 3_599), (there + 3_600, 3_600)]);
            assert_ne!(told[2].0, told[2].1, "{told:?}");
            assert_eq!(told[3], (there + 3_600, there + 3_600));
        }
    }

    #[test]
    fn a_clock_that_goes_on_jumping_is_not_believed() {
        let hour = |n: i64| (1_000 + n * YEAR, n.unsigned_abs() * 60 * MINUTE);
        let told = looks(&mut fresh(), &[hour(0), hour(1), hour(2), hour(3)]);
        assert_eq!(told[3].0, 1_000 + 3 * 3_600);
    }
}
