//! Whether a connection still answers, told from what comes on it.
//!
//! A node that has been stopped, collects garbage for long or has lost its network keeps its
//! connections open, and whatever it is given waits for its whole deadline. So once per tick the
//! I/O task looks at each connection that owes a reply. When nothing at all, to nobody, has come
//! for half of the limit, the node is asked OPTIONS, which it answers whatever its queries take, on
//! all its connections: if it is the node that is in trouble and not one shard, the others need not
//! lose a request each to learn of it. When nothing has come on a connection for as long again, it
//! is silent. Plans then prefer other nodes, until anything comes: a late reply is enough, and a
//! node that goes on owes one.

use std::task::Waker;

use shardwire_protocol::header::{HEADER_LEN, Version};
use shardwire_protocol::request::Options;

use super::submit::Turn;
use super::{Conn, State};
use crate::message::Message;
use crate::statement::Config;

/// What the I/O task remembers of one socket. Times are in ticks of the coarse clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Silence {
    /// Something has come since the last look.
    heard: bool,
    since: Since,
}

/// Since when nothing has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Since {
    /// Something came, and nobody has waited since; or nothing was asked for yet.
    #[default]
    Heard,
    /// Somebody waits, or has given up meanwhile: the reply is owed in any case.
    Owing(u32),
    Asked(u32),
    Silent,
}

/// What is to be done. `Ask` goes for all connections of the node; see [`Silence::doubt`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Due {
    Nothing,
    Ask,
    Avoid,
}

impl Silence {
    /// Something has come; whether the connection was silent until now.
    #[inline]
    pub(super) fn hear(&mut self) -> bool {
        self.heard = true;
        self.since == Since::Silent
    }

    /// Looks at a connection that owes a reply at the time `now`. `is_awaited` says that somebody
    /// waits for one: what nobody waits for may never come, and does not lead to questions again
    /// and again.
    pub(super) fn look(&mut self, now: u32, is_awaited: bool, limit: u32) -> Due {
        if std::mem::take(&mut self.heard) {
            self.since = Since::Heard;
        }
        let half = limit.div_ceil(2);
        match self.since {
            Since::Heard if is_awaited => self.since = Since::Owing(now),
            Since::Owing(since) if now.wrapping_sub(since) >= half => return Due::Ask,
            Since::Asked(since) if now.wrapping_sub(since) >= half => {
                self.since = Since::Silent;
                return Due::Avoid;
            }
            Since::Heard | Since::Owing(_) | Since::Asked(_) | Since::Silent => {}
        }
        Due::Nothing
    }

    /// The node is in doubt; whether it is to be asked on this connection.
    pub(super) fn doubt(&mut self, now: u32) -> bool {
        let is_due = matches!(self.since, Since::Heard | Since::Owing(_));
        if is_due {
            // What came before does not count: of an idle connection that may be long ago.
            *self = Silence { heard: false, since: Since::Asked(now) };
        }
        is_due
    }
}

impl Conn {
    /// Asks the node to say something. Nobody waits for what it says.
    #[cold]
    #[inline(never)]
    pub(super) fn ask(&self, version: Version) {
        let op = Message { message: Options, config: Config::default(), version };
        // Without a slot or room there is enough that it could answer.
        if let Ok(slot) = self.submit(&op, HEADER_LEN, 0, Turn::New, Waker::noop()) {
            self.slots.abandon(slot);
        }
    }

    #[cold]
    pub(super) fn is_silent_now(&self) {
        self.set_state(State::Silent);
        self.waiting.notify(usize::MAX); // who has not been sent yet looks for another node
        tracing::debug!(peer = %self.peer, "the node does not answer: others are preferred");
    }

    #[cold]
    #[inline(never)]
    pub(super) fn is_heard_again(&self) {
        self.set_state(State::Open);
        tracing::debug!(peer = %self.peer, "the node answers again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each look says; `None` for what comes in between.
    fn looks(limit: u32, steps: &[(Option<(u32, bool)>, Due)]) -> Silence {
        let mut silence = Silence::default();
        for (number, (look, due)) in steps.iter().enumerate() {
            match look {
                Some((now, is_awaited)) => {
                    assert_eq!(silence.look(*now, *is_awaited, limit), *due, "step {number}");
                    if *due == Due::Ask {
                        assert!(silence.doubt(*now), "step {number}");
                    }
                }
                None => drop(silence.hear()),
            }
        }
        silence
    }

    const COMES: (Option<(u32, bool)>, Due) = (None, Due::Nothing);

    fn at(now: u32, due: Due) -> (Option<(u32, bool)>, Due) {
        (Some((now, true)), due)
    }

    fn idle(now: u32) -> (Option<(u32, bool)>, Due) {
        (Some((now, false)), Due::Nothing)
    }

    #[test]
    fn asks_before_it_avoids() {
        let mut silence = looks(
            40,
            &[
                at(100, Due::Nothing),
                at(119, Due::Nothing),
                at(120, Due::Ask),
                at(139, Due::Nothing),
                at(140, Due::Avoid),
                at(141, Due::Nothing),
                idle(142),
                at(1000, Due::Nothing),
            ],
        );
        assert!(silence.hear());
        assert_eq!(silence.look(1001, true, 40), Due::Nothing);
        assert_eq!(silence.look(1021, true, 40), Due::Ask);
    }

    #[test]
    fn doubt_reaches_connections_that_are_idle() {
        let mut silence = looks(40, &[at(50, Due::Nothing), COMES]);
        assert!(silence.doubt(100) && !silence.doubt(101));
        assert_eq!(silence.look(119, false, 40), Due::Nothing);
        let mut answers = silence;
        assert!(!answers.hear());
        assert_eq!(answers.look(120, false, 40), Due::Nothing);
        assert_eq!(silence.look(120, false, 40), Due::Avoid);
        assert!(!silence.doubt(121), "it owes an answer");
    }

    #[test]
    fn whatever_comes_begins_anew() {
        let heard = [at(100, Due::Nothing), at(119, Due::Nothing), COMES, at(121, Due::Nothing)];
        looks(40, &[&heard[..], &[at(140, Due::Nothing), at(141, Due::Ask)]].concat());
        let answered = [at(100, Due::Nothing), at(120, Due::Ask), COMES, at(140, Due::Nothing)];
        looks(40, &[&answered[..], &[at(159, Due::Nothing), at(160, Due::Ask)]].concat());
    }

    #[test]
    fn what_nobody_waits_for_is_asked_for_once() {
        let given_up = (Some((120, false)), Due::Ask);
        let mut silence = looks(40, &[at(100, Due::Nothing), idle(101), idle(119), given_up]);
        silence.hear();
        for now in 121..500 {
            assert_eq!(silence.look(now, false, 40), Due::Nothing);
        }
        assert_eq!(silence.look(500, true, 40), Due::Nothing);
        assert_eq!(silence.look(520, true, 40), Due::Ask);
        // It stays owed.
        looks(40, &[at(100, Due::Nothing), at(120, Due::Ask), idle(139), at(140, Due::Avoid)]);
    }

    #[test]
    fn a_clock_that_jumps_leaves_time_to_answer() {
        looks(40, &[at(u32::MAX, Due::Nothing), at(500, Due::Ask), at(501, Due::Nothing)]);
        looks(1, &[at(1, Due::Nothing), at(2, Due::Ask), at(3, Due::Avoid)]);
    }
}
