//! What the reports have in common: the figures they show, their units and their ratios.
//!
//! Next: `text.rs`.

use crate::orchestrate::results::{CLIENT_IDLE_SHARE, Report, Row, SERVER_BUSY_SHARE};

/// The driver whose wins and losses are told.
pub(super) const SUBJECT: &str = "shardwire";
/// The driver it is compared with.
pub(super) const REFERENCE: &str = "scylla";

/// One figure of a row.
pub(super) struct Figure {
    /// Heading of its column.
    pub(super) heading: &'static str,
    /// Unit, in words.
    pub(super) unit: &'static str,
    pub(super) better: Better,
    pub(super) of: fn(&Row) -> Option<f64>,
    /// Digits behind the point for small, middling and large values.
    pub(super) digits: [usize; 3],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Better {
    Higher,
    Lower,
}

/// The columns of the tables.
pub(super) const FIGURES: [Figure; 9] = [
    Figure {
        heading: "kreq/s",
        unit: "thousand requests per second",
        better: Better::Higher,
        of: |row| row.requests_per_second.map(|rate| rate / 1e3),
        digits: [2, 1, 0],
    },
    Figure {
        heading: "CPU us",
        unit: "user + sys of the client process per request, us",
        better: Better::Lower,
        of: |row| row.cpu_us_per_request,
        digits: [3, 2, 1],
    },
    Figure {
        heading: "p50 us",
        unit: "median latency, us",
        better: Better::Lower,
        of: |row| row.latency_us.map(|latency| latency.p50),
        digits: [1, 1, 0],
    },
    Figure {
        heading: "p99 us",
        unit: "99th percentile of latency, us",
        better: Better::Lower,
        of: |row| row.latency_us.map(|latency| latency.p99),
        digits: [1, 1, 0],
    },
    Figure {
        heading: "p99.9 us",
        unit: "99.9th percentile of latency, us",
        better: Better::Lower,
        of: |row| row.latency_us.map(|latency| latency.p999),
        digits: [1, 1, 0],
    },
    Figure {
        heading: "allocs",
        unit: "allocations + reallocations per request",
        better: Better::Lower,
        of: Row::heap_calls_per_request,
        digits: [4, 1, 0],
    },
    Figure {
        heading: "bytes",
        unit: "bytes asked of the heap per request",
        better: Better::Lower,
        of: |row| row.bytes_per_request,
        digits: [2, 0, 0],
    },
    Figure {
        heading: "RSS MB",
        unit: "peak resident set of the client process, MB",
        better: Better::Lower,
        of: |row| row.peak_rss_bytes.map(|bytes| bytes as f64 / 1e6),
        digits: [1, 1, 0],
    },
    Figure {
        heading: "misrouted",
        unit: "requests that came to a wrong node or shard, in all timed runs",
        better: Better::Lower,
        of: |row| row.wrong_shard_requests.map(|count| count as f64),
        digits: [0, 0, 0],
    },
];

impl Figure {
    /// The value of a row as text; `-` where there is none.
    pub(super) fn text(&self, row: &Row) -> String {
        (self.of)(row).map_or_else(|| "-".to_owned(), |value| self.format(value))
    }

    pub(super) fn format(&self, value: f64) -> String {
        if value == 0.0 {
            return "0".to_owned();
        }
        let [small, middling, large] = self.digits;
        let digits = match value.abs() {
            value if value < 1.0 => small,
            value if value < 100.0 => middling,
            _ => large,
        };
        format!("{value:.digits$}")
    }

    /// The subject's value as a multiple of the reference's, and whether it is a loss.
    pub(super) fn ratio(&self, subject: &Row, reference: &Row) -> Option<Ratio> {
        let (ours, theirs) = ((self.of)(subject)?, (self.of)(reference)?);
        let factor = match (ours, theirs) {
            (0.0, 0.0) => 1.0,
            (_, 0.0) => f64::INFINITY,
            _ => ours / theirs,
        };
        let is_loss = match self.better {
            Better::Higher => factor < 1.0,
            Better::Lower => factor > 1.0,
        };
        Some(Ratio { factor, is_loss })
    }
}

/// One driver's figure beside another's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    pub(super) factor: f64,
    pub(super) is_loss: bool,
}

impl Ratio {
    /// `2.9x`; `0.04x`; `inf` where the other has none.
    pub(super) fn text(self) -> String {
        match self.factor {
            factor if factor.is_infinite() => "inf".to_owned(),
            0.0 => "0x".to_owned(),
            factor if factor >= 10.0 => format!("{factor:.0}x"),
            factor if factor >= 1.0 => format!("{factor:.1}x"),
            factor => format!("{factor:.2}x"),
        }
    }
}

/// The rows of one case, in the drivers' order.
pub(super) struct CaseRows<'report> {
    pub(super) title: String,
    pub(super) rows: Vec<&'report Row>,
}

impl<'report> CaseRows<'report> {
    /// Subject and reference, where both were measured.
    pub(super) fn pair(&self) -> Option<(&'report Row, &'report Row)> {
        let find = |name: &str| self.rows.iter().copied().find(|row| row.driver == name);
        Some((find(SUBJECT)?, find(REFERENCE)?))
    }
}

/// The rows grouped by case, in the report's order.
pub(super) fn by_case(report: &Report) -> Vec<CaseRows<'_>> {
    let mut cases: Vec<CaseRows<'_>> = Vec::new();
    for row in &report.results {
        let title = row.case();
        match cases.last_mut() {
            Some(case) if case.title == title => case.rows.push(row),
            _ => cases.push(CaseRows { title, rows: vec![row] }),
        }
    }
    cases
}

/// A sentence per figure: how often the subject won and lost, and by how much.
pub(super) fn summary(report: &Report) -> Vec<String> {
    let cases = by_case(report);
    let pairs: Vec<_> = cases
        .iter()
        .filter_map(CaseRows::pair)
        .filter(|(subject, reference)| subject.failure.is_none() && reference.failure.is_none())
        .collect();
    let sentence = |figure: &Figure| {
        let mut ratios: Vec<_> = pairs
            .iter()
            .filter_map(|(subject, reference)| figure.ratio(subject, reference))
            .collect();
        ratios.sort_by(|one, other| one.factor.total_cmp(&other.factor));
        let is_zero = |row: &&Row| (figure.of)(row).unwrap_or(0.0) == 0.0;
        if pairs.iter().all(|(subject, reference)| is_zero(subject) && is_zero(reference)) {
            return None;
        }
        let (least, most) = (ratios.first()?, ratios.last()?);
        let worse = ratios.iter().filter(|ratio| ratio.is_loss).count();
        let better = ratios.iter().filter(|ratio| !ratio.is_loss && ratio.factor != 1.0).count();
        let range = match (least.text(), most.text()) {
            (least, most) if least == most => least,
            (least, most) => format!("{least} to {most}"),
        };
        Some(format!(
            "{}: {range} of {REFERENCE}'s; better in {better}, worse in {worse} of {} cases.",
            figure.heading,
            ratios.len()
        ))
    };
    FIGURES.iter().filter_map(sentence).collect()
}

/// Remarks under the tables, as whole sentences.
pub(super) fn remarks(report: &Report) -> Vec<String> {
    let environment = &report.environment;
    let mut remarks = vec![format!(
        "Medians of {} runs of {} s each, drivers interleaved in alternating order; +-% is \
         half the range of their throughputs over the median.",
        environment.repetitions, environment.seconds_per_run
    )];
    remarks.push(if environment.rows == "canned" {
        "CPU, throughput and latency come from a node that answers each statement with a reply \
         encoded once (canned); its rows are not stored. Answers were checked byte by byte in runs \
         of their own on stored rows."
            .to_owned()
    } else {
        "CPU, throughput and latency were measured on stored rows; those with a hundred rows to \
         a partition cycle over 1,000 partitions, the others over 100,000."
            .to_owned()
    });
    remarks.push(
        "CPU is user + sys of the client process alone, harness included. Allocations were counted \
         in runs of their own, over the whole client process in its steady state; timed runs use \
         the system allocator."
            .to_owned(),
    );
    let is_embedded = environment.node.starts_with("embedded");
    let was_limit = report.results.iter().any(|row| row.node_was_limit == Some(true));
    if !is_embedded {
        remarks.extend(server_remarks(report, was_limit));
    } else if was_limit {
        remarks.push(
            "* The node's core was busy throughout: throughput and latency there say what the node \
             can do, not what the driver can; CPU per request stands."
                .to_owned(),
        );
    }
    if report.results.iter().any(|row| row.pacing == "open") {
        remarks.push(
            "Open loop: requests are due at a fixed rate and latency counts from when each was due \
             (corrected for coordinated omission); its CPU includes the pacer, the same for all."
                .to_owned(),
        );
    }
    remarks.push(
        "floor is no driver: pre-encoded frames on bare sockets from one thread, to the first node \
         alone. No driver can be cheaper."
            .to_owned(),
    );
    let shared = environment.node_cpus.iter().any(|cpu| environment.client_cpus.contains(cpu));
    if shared {
        remarks.push(
            "There were fewer CPUs than threads: the drivers' clients shared the node's CPU, the \
             floor client did not."
                .to_owned(),
        );
    }
    let left_out = report.left_out.iter();
    remarks.extend(left_out.map(|what| format!("Left out: {what}.")));
    remarks
}

/// Whether a real server was the limit, and by which figures.
fn server_remarks(report: &Report, was_limit: bool) -> Vec<String> {
    const REST: &str = "only the clients' CPU and heap calls per request compare the drivers";
    let mut remarks = Vec::new();
    let clients = range(report, |row| row.client_cpu_share);
    let servers = range(report, |row| row.node_cpu_share);
    match (servers, report.environment.server.cpus) {
        (Some(servers), Some(cpus)) => {
            let clients = clients.unwrap_or_else(|| "unknown".to_owned());
            remarks.push(format!(
                "In the timed runs the server used {servers} CPUs of {cpus}; the clients used \
                 {clients} of each of theirs."
            ));
            if was_limit {
                remarks.push(format!(
                    "* Throughput was limited by the server: it used {:.0} % or more of its CPUs, \
                     or the client waited for it most of the time ({:.0} % or more). Throughput \
                     and latency there say what the server can do; {REST}.",
                    SERVER_BUSY_SHARE * 100.0,
                    (1.0 - CLIENT_IDLE_SHARE) * 100.0
                ));
            }
        }
        _ => remarks.push(format!(
            "Whether the server was the limit is not known, since its CPU can't be seen from here. \
             Where it was, {REST}."
        )),
    }
    remarks
}

/// The least and the most of a figure over all rows.
fn range(report: &Report, of: fn(&Row) -> Option<f64>) -> Option<String> {
    let values = || report.results.iter().filter_map(of);
    let (least, most) = (values().min_by(f64::total_cmp)?, values().max_by(f64::total_cmp)?);
    Some(format!("{least:.2} to {most:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::sample;

    #[test]
    fn a_real_servers_part_is_told() {
        let mut report = sample();
        report.environment.node = "Apache Cassandra, 1 process(es)".into();
        for (row, share) in report.results.iter_mut().zip([0.5, 0.97]) {
            row.node_cpu_share = Some(share);
            row.client_cpu_share = Some(share / 2.0);
        }
        let told = remarks(&report).join("\n");
        assert!(told.contains("the server used 0.50 to 0.97 CPUs of 1; the clients used 0.25"));
        assert!(told.contains("* Throughput was limited by the server: it used 90 % or more"));
        report.environment.server.cpus = None;
        let told = remarks(&report).join("\n");
        assert!(told.contains("Whether the server was the limit is not known"));
        assert!(!told.contains("limited by the server"));
    }
}
