//! One page, family by family, in either of two formats. The crate writes OpenMetrics; the older format differs in the names of
//! counters and infos, and in the last line.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use super::cell::{Distribution, Scale};

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4, which everything reads.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What a client with this `Accept` gets: OpenMetrics if it names it, text otherwise.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let names_it = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let is_open =
                parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
            // RFC 9110 §12.4.2: a weight of 0 means "not this".
            is_open && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        };
        if accept.split(',').any(|range| names_it(range.trim())) { Self::OpenMetrics } else { Self::Text }
    }

    /// `Content-Type` of a page.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

pub(super) struct Page<'e> {
    pub(super) encoder: DescriptorEncoder<'e>,
    pub(super) format: Format,
}

impl Page<'_> {
    /// A family of counters. `name` ends in `_total`.
    pub(super) fn counters<L: EncodeLabelSet, V: EncodeCounterValue + EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let (family, format) = (self.counter_family(name), self.format);
        let mut family = self.encoder.encode_descriptor(family, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            counter(&mut family.encode_family(&labels)?, format, &value)?;
        }
        Ok(())
    }

    /// A family with one counter. `name` ends in `_total`.
    pub(super) fn counter<V: EncodeCounterValue + EncodeGaugeValue + Copy>(
        &mut self,
        name: &str,
        help: &str,
        value: V,
    ) -> fmt::Result {
        let (family, format) = (self.counter_family(name), self.format);
        let mut family = self.encoder.encode_descriptor(family, help, None, MetricType::Counter)?;
        counter(&mut family, format, &value)
    }

    /// A family of gauges.
    pub(super) fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// A family with one gauge.
    pub(super) fn gauge<V: EncodeGaugeValue + Copy>(
        &mut self,
        name: &str,
        help: &str,
        value: V,
    ) -> fmt::Result {
        self.gauge_if_known(name, help, Some(value))
    }

    /// A family with one gauge, or none if nobody knows the value.
    pub(super) fn gauge_if_known<V: EncodeGaugeValue + Copy>(
        &mut self,
        name: &str,
        help: &str,
        value: Option<V>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        value.map_or(Ok(()), |value| family.encode_gauge(&value))
    }

    /// A family of histograms.
    pub(super) fn histograms<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        scale: &Scale,
        samples: impl IntoIterator<Item = (L, Distribution)>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, value) in samples {
            histogram(&mut family.encode_family(&labels)?, scale, &value)?;
        }
        Ok(())
    }

    /// A family with one histogram.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        scale: &Scale,
        value: &Distribution,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        histogram(&mut family, scale, value)
    }

    /// A fact in a label. `name` ends in `_info`.
    pub(super) fn info(&mut self, name: &str, help: &str, fact: (&str, &str)) -> fmt::Result {
        match self.format {
            Format::Text => self.gauges(name, help, [([fact], 1_u64)]),
            Format::OpenMetrics => {
                let name = name.strip_suffix("_info").unwrap_or(name);
                self.encoder.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&[fact])
            }
        }
    }

    /// OpenMetrics names a family of counters without the suffix that its samples have.
    fn counter_family<'n>(&self, name: &'n str) -> &'n str {
        match self.format {
            Format::Text => name,
            Format::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
        }
    }
}

/// The encoder of a gauge writes the name as it is, which is how the older format wants a counter too.
fn counter<V: EncodeCounterValue + EncodeGaugeValue>(
    sample: &mut MetricEncoder<'_>,
    format: Format,
    value: &V,
) -> fmt::Result {
    match format {
        Format::Text => sample.encode_gauge(value),
        Format::OpenMetrics => sample.encode_counter::<NoLabelSet, V, u64>(value, None),
    }
}

fn histogram(sample: &mut MetricEncoder<'_>, scale: &Scale, value: &Distribution) -> fmt::Result {
    sample.encode_histogram::<NoLabelSet>(value.sum(), value.count(), &value.buckets(scale), None)
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn open_metrics_only_for_those_who_name_it() {
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/plain;version=0.0.4;q=0.5, */*;q=0.1", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            ("text/plain, Application/OpenMetrics-Text; version=0.0.1", Format::OpenMetrics),
            ("application/openmetrics-text; q=0, text/plain", Format::Text),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}
