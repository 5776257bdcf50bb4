package memlane_test

import (
	"testing"

	"footbridge/queue"
	"footbridge/queue/memlane"
	"footbridge/queue/queuetest"
)

func TestConformance(t *testing.T) {
	queuetest.Run(t, func(*testing.T) queue.Scheduler { return memlane.New() })
}

func TestSameAsTheModel(t *testing.T) {
	for seed := range uint64(300) {
		if _, err := queuetest.Differ(t.Context(), seed, 400, queuetest.NewModel(""), memlane.New()); err != nil {
			t.Fatal(err)
		}
	}
}
