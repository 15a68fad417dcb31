//! How long a file takes over networks of all kinds, in virtual time, when nobody says how many lanes (`-x auto`).
//!
//! Each scene is one of the bench's. The bounds are what is reached in this model, so that no change loses it unseen;
//! what real connections take is for the bench to say. `THENCE_SHAPED=trace` prints what the planner said and when.

#[path = "shaped/net.rs"]
mod net;

use net::{MB, Manner, Net, Outcome, fetch, net};
use thence_plan::Why;

fn auto(nets: &[Net], megabytes: f64) -> Outcome {
    let outcome = fetch(nets.to_vec(), megabytes * MB, None);
    println!("{:.2} s over {} connections", outcome.seconds, outcome.connections);
    println!("when, lanes, why, MB/s before and with those tried: {:.2?}", outcome.decisions);
    outcome
}

/// Seconds over the ideal: a round trip to connect, one to ask, and the size over the rate.
fn ratio(outcome: &Outcome, megabytes: f64, rate: f64, round_trip: f64) -> f64 {
    let ratio = outcome.seconds / (megabytes / rate + 2.0 * round_trip);
    println!("ratio {ratio:.2}");
    ratio
}

#[test]
fn a_throttle_on_each_connection_is_answered_with_more_of_them() {
    let manner = |_| Manner { rate: 2.0 * MB, stalls: f64::MAX };
    let outcome = auto(&[Net { manner, ..net(50.0 * MB, 0.002) }], 100.0);
    assert!(ratio(&outcome, 100.0, 50.0, 0.002) < 1.30);
}

#[test]
fn one_lane_fills_a_clean_long_way() {
    let outcome = auto(&[net(25.0 * MB, 0.1)], 100.0);
    assert!(ratio(&outcome, 100.0, 25.0, 0.1) < 1.15);
    assert_eq!(outcome.connections, 1, "what is there in five seconds does not ask");
}

#[test]
fn a_throttle_over_a_long_way_is_answered_with_more_as_well() {
    let manner = |_| Manner { rate: 2.0 * MB, stalls: f64::MAX };
    let outcome = auto(&[Net { manner, ..net(25.0 * MB, 0.1) }], 100.0);
    assert!(ratio(&outcome, 100.0, 25.0, 0.1) < 1.55);
}

#[test]
fn a_short_file_over_a_long_way_waits_for_nothing() {
    let one = fetch(vec![net(25.0 * MB, 0.1)], 10.0 * MB, Some(1));
    let outcome = auto(&[net(25.0 * MB, 0.1)], 10.0);
    assert!(outcome.seconds < one.seconds * 1.05);
}

#[test]
fn loss_is_answered_with_many_lanes() {
    let lossy = Net { loss: 0.001, ..net(25.0 * MB, 0.1) };
    let outcome = auto(&[lossy], 100.0);
    assert!(ratio(&outcome, 100.0, 25.0, 0.1) < 1.30);
    let (when, lanes, why, _) = outcome.decisions[0];
    assert!(when < 1.0 && (lanes, why) == (32, Why::Lost), "before what comes falls");
}

#[test]
fn loss_of_which_the_system_says_nothing_is_seen_by_what_it_does() {
    let lossy = Net { loss: 0.001, mute: true, ..net(25.0 * MB, 0.1) };
    let outcome = auto(&[lossy], 100.0);
    assert!(ratio(&outcome, 100.0, 25.0, 0.1) < 1.45);
    assert_eq!(outcome.decisions[0].2, Why::Fallen);
}

#[test]
fn who_said_how_many_lanes_gets_no_more_where_packets_are_lost() {
    let lossy = Net { loss: 0.001, ..net(25.0 * MB, 0.1) };
    let outcome = fetch(vec![lossy], 100.0 * MB, Some(1));
    assert!(outcome.most == 1 && outcome.decisions.is_empty());
}

/// In a queue that is always full everybody waits as long, and loses packets.
#[test]
fn packets_that_are_lost_over_a_longer_way_than_there_is_ask_for_no_more_lanes_at_once() {
    let outcome = auto(&[Net { loss: 0.001, ..net(25.0 * MB, 0.3) }], 100.0);
    assert!(outcome.lost > 0 && outcome.decisions.iter().all(|decision| decision.2 != Why::Lost));
}

#[test]
fn what_a_full_line_loses_asks_for_no_more_lanes() {
    let way = net(25.0 * MB, 0.1);
    for queue in [1.0, 1.5, 3.0] {
        let outcome = auto(&[Net { queue: way.queue * queue, ..way.clone() }], 60.0);
        assert!(outcome.lost > 0 && outcome.connections == 1);
    }
}

#[test]
fn a_few_mib_over_a_long_way_come_over_several_lanes_from_the_beginning() {
    let lossy = Net { loss: 0.001, ..net(25.0 * MB, 0.1) };
    let outcome = auto(&[lossy], 10.0);
    assert!(ratio(&outcome, 10.0, 25.0, 0.1) < 2.4);
    let outcome = auto(&[net(25.0 * MB, 0.1)], 10.0);
    assert!(ratio(&outcome, 10.0, 25.0, 0.1) < 1.8);
    assert!(outcome.connections == 9 && outcome.wire < 1.001, "nobody is helped who needs no help");
    assert_eq!(outcome.decisions[0].2, Why::Far);
}

#[test]
fn what_is_over_as_soon_is_left_to_one_lane() {
    let short = auto(&[net(25.0 * MB, 0.1)], 1.0);
    assert_eq!(short.connections, 1);
    let near = auto(&[net(25.0 * MB, 0.02)], 5.0);
    assert_eq!(near.most, 1);
}

#[test]
fn a_full_queue_is_not_taken_for_a_long_way() {
    let outcome = auto(&[net(2.5 * MB, 0.5)], 10.0);
    assert!(outcome.most <= 2);
}

/// Whenever one breaks off, what the others bring moves, and that is no reason for more of them.
#[test]
fn connections_that_break_off_are_replaced_and_not_multiplied() {
    for lives in [(5.0, 40.0), (2.0, 10.0), (0.5, 3.0)] {
        let outcome = auto(&[Net { lives, ..net(2.0 * MB, 0.002) }], 600.0);
        assert!(ratio(&outcome, 600.0, 2.0, 0.002) < 1.10);
        assert!(
            outcome.mean < 5.0 && outcome.most <= 12,
            "{lives:?}: {} on average, {}",
            outcome.mean,
            outcome.most
        );
    }
}

/// Nobody is late for being as silent as whoever would take over: the requests would be all that the host still has to do.
#[test]
fn a_host_that_takes_its_time_for_each_answer_is_not_asked_again_and_again() {
    for dumb in [0.3, 1.0] {
        let outcome = fetch(vec![Net { dumb, ..net(2.0 * MB, 0.002) }], 30.0 * MB, Some(32));
        println!("{dumb}: {:.1} s over {} connections", outcome.seconds, outcome.connections);
        assert!(outcome.seconds < 40.0 && outcome.connections < 128, "{dumb}");
    }
}

#[test]
fn a_host_that_refuses_is_asked_no_more() {
    let manner = |_| Manner { rate: 5.0 * MB, stalls: f64::MAX };
    let outcome = auto(&[Net { manner, most: 4, ..net(50.0 * MB, 0.002) }], 100.0);
    assert!(ratio(&outcome, 100.0, 20.0, 0.002) < 1.08);
    assert!(outcome.refused <= 8);
}

/// Most lanes are slow then, and none is slower than most: who is late is told by who would take it over.
#[test]
fn a_mirror_whose_connections_are_slow_holds_up_nobody() {
    let good = auto(&[net(20.0 * MB, 0.002)], 66.0);
    let slow = Net { manner: |_| Manner { rate: 0.1 * MB, stalls: f64::MAX }, ..net(20.0 * MB, 0.002) };
    let both = auto(&[net(20.0 * MB, 0.002), slow], 66.0);
    assert!(both.seconds < good.seconds * 1.05, "{:.2} s, {:.2} s alone", both.seconds, good.seconds);
}

#[test]
fn a_fast_and_a_slow_mirror_work_together() {
    let outcome = auto(&[net(20.0 * MB, 0.002), net(2.0 * MB, 0.002)], 100.0);
    assert!(ratio(&outcome, 100.0, 22.0, 0.002) < 1.25);
}

#[test]
fn slow_and_stalled_connections_keep_nobody_waiting() {
    let manner = |number: usize| match number % 12 {
        3 | 7 | 11 => Manner { rate: 0.15 * MB, stalls: f64::MAX },
        5 => Manner { rate: 3.0 * MB, stalls: MB },
        _ => Manner { rate: 3.0 * MB, stalls: f64::MAX },
    };
    let outcome = auto(&[Net { manner, ..net(50.0 * MB, 0.002) }], 100.0);
    assert!(ratio(&outcome, 100.0, 50.0, 0.002) < 1.26);
    assert!(outcome.wire < 1.02);
    assert!(outcome.connections < 75, "each that is cut costs one: who is slow asks for less instead");
}

#[test]
fn a_narrow_line_with_a_deep_queue_is_left_to_one_lane() {
    let deep = Net { queue: 2.5 * MB, ..net(2.5 * MB, 0.02) };
    let outcome = auto(&[deep], 50.0);
    assert!(ratio(&outcome, 50.0, 2.5, 0.02) < 1.05);
    assert!(outcome.mean < 1.5 && outcome.most == 2);
}

#[test]
fn net_12_no_lane_is_added_that_our_own_limit_would_keep_waiting() {
    let limited = Net { limit: 5.0 * MB, ..net(50.0 * MB, 0.002) };
    let outcome = auto(std::slice::from_ref(&limited), 50.0);
    assert!(
        outcome.connections == 1 && outcome.decisions.is_empty(),
        "one lane brings all that is let through"
    );
    let manner = |_| Manner { rate: 2.0 * MB, stalls: f64::MAX };
    let outcome = auto(&[Net { manner, ..limited }], 50.0);
    assert!(ratio(&outcome, 50.0, 5.0, 0.002) < 1.10);
    assert!(outcome.most <= 8, "three would do");
}
