package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"footbridge/bridge/store"
)

// leasePatience is how long a starting process waits for one that was just killed to be noticed.
const leasePatience = 5 * time.Second

// takeLeases makes this process the only one that sequences and the only one that reads the firehose: two of either
// would fork what the network sees. A lease that is lost stops the process.
func (a *App) takeLeases(ctx context.Context, group *errgroup.Group) error {
	for _, role := range []string{"pds", "firehose"} {
		if !a.Config.Has(role) {
			continue
		}
		lease, err := a.takeLease(ctx, role)
		if err != nil {
			return err
		}
		group.Go(func() error {
			select {
			case <-lease.Lost():
				return fmt.Errorf("the lease of the role %s was lost; the process ends so that nothing is sequenced twice", role)
			case <-ctx.Done():
				return lease.Close()
			}
		})
	}
	return nil
}

func (a *App) takeLease(ctx context.Context, role string) (*store.Lease, error) {
	deadline, cancel := context.WithTimeout(ctx, leasePatience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		lease, err := a.DB.Lease(ctx, role)
		if !errors.Is(err, store.ErrHeld) {
			return lease, err
		}
		select {
		case <-tick.C:
		case <-deadline.Done():
			return nil, fmt.Errorf("another Footbridge plays the role %s on the same data; stop it first", role)
		}
	}
}
