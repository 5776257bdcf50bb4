package store

import (
	"errors"
	"testing"
)

func TestLeaseIsOfOneProcess(t *testing.T) {
	eachEngine(t, func(t *testing.T, db *DB) {
		first, err := db.Lease(t.Context(), "pds")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Lease(t.Context(), "pds"); !errors.Is(err, ErrHeld) {
			t.Fatalf("a second lease gave %v", err)
		}
		other, err := db.Lease(t.Context(), "firehose")
		if err != nil {
			t.Fatal("another role is not free:", err)
		}
		for _, l := range []*Lease{first, other} {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		again, err := db.Lease(t.Context(), "pds")
		if err != nil {
			t.Fatal("the lease does not come back:", err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
