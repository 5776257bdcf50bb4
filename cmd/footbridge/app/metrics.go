package app

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"footbridge/bridge"
	"footbridge/bridge/store"
	"footbridge/queue"
)

// Metrics are what the operator's Prometheus reads. No label names a person (R105).
type Metrics struct {
	registry *prometheus.Registry
	events   *prometheus.CounterVec
	jobs     *prometheus.HistogramVec
	depth    *prometheus.GaugeVec
	age      *prometheus.GaugeVec
	dead     prometheus.Gauge
}

// NewMetrics makes a registry of its own.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "footbridge_events_total",
			Help: "Events by direction, kind, result (bridged, dropped) and reason."}, []string{"direction", "kind", "result", "reason"}),
		jobs: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "footbridge_job_seconds", Help: "Runs of jobs by kind and outcome.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60}}, []string{"kind", "outcome"}),
		depth: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "footbridge_queue_ready", Help: "Jobs that are due, by priority (0 urgent, 1 normal, 2 backfill)."}, []string{"priority"}),
		age:   prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "footbridge_queue_oldest_seconds", Help: "Age of the oldest job that is due, by priority."}, []string{"priority"}),
		dead:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "footbridge_dead_letters", Help: "Jobs that were given up and wait for the operator."}),
	}
	m.registry.MustRegister(m.events, m.jobs, m.depth, m.age, m.dead)
	return m
}

// Outcome counts one event.
func (m *Metrics) Outcome(o bridge.Outcome) {
	reason := o.Reason
	if o.Result == "bridged" {
		reason = "" // losses are on the person's page; as labels their combinations would be many
	}
	m.events.WithLabelValues(o.Direction, kindLabel(o.Kind), o.Result, reason).Inc()
}

// kindLabel keeps kinds of strangers' making out of the labels.
func kindLabel(kind string) string {
	switch kind {
	case "Create", "Update", "Delete", "Like", "EmojiReact", "Announce", "Follow", "Undo", "Block", "Flag", "Move", "Add", "Remove",
		"post", "like", "repost", "follow", "block", "profile", "threadgate", "postgate", "event":
		return kind
	}
	return "other"
}

// JobEnded is the queue.Observer.
func (m *Metrics) JobEnded(j queue.Job, o queue.Outcome, _ string, took time.Duration) {
	m.jobs.WithLabelValues(j.Kind, string(o)).Observe(took.Seconds())
}

var _ queue.Observer = (*Metrics)(nil)

// handler refreshes the depths and writes the metrics.
func (m *Metrics) handler(q store.Queue, now func() time.Time) http.Handler {
	inner := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := m.refresh(r.Context(), q, now()); err != nil {
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

func (m *Metrics) refresh(ctx context.Context, q store.Queue, now time.Time) error {
	depths, err := q.Depths(ctx)
	if err != nil {
		return err
	}
	for _, d := range depths {
		label := string('0' + byte(d.Priority))
		m.depth.WithLabelValues(label).Set(float64(d.Ready))
		age := 0.0
		if !d.Oldest.IsZero() {
			age = now.Sub(d.Oldest).Seconds()
		}
		m.age.WithLabelValues(label).Set(age)
	}
	dead, _, err := q.CountDead(ctx)
	m.dead.Set(float64(dead))
	return err
}
