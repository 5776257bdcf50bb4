package bridge

import (
	"context"
	"strings"
	"time"

	"footbridge/activitypub"
	"footbridge/activitypub/as2"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/queue"
)

// Deliveries of one object overtake each other: servers send them side by side and try again what failed. The newest
// version by the date that its own server gave it stands, whatever came last.

// versionLayout sorts as text.
const versionLayout = "2006-01-02T15:04:05.000000000Z"

// version is the date of what an activity carries; empty for an edit without one, which cannot be compared.
func (e *envelope) version() string {
	date := str(e.objectDoc["updated"])
	if date == "" && e.typ != "Update" {
		date = str(e.objectDoc["published"])
	}
	t, ok := as2.ParseTime(date)
	if !ok {
		return ""
	}
	return t.UTC().Format(versionLayout)
}

// outdated reports whether a newer version of an object is there already.
func outdated(found []Object, version string) bool {
	return version != "" && len(found) > 0 && found[0].Deleted.IsZero() && found[0].Version > version
}

// overtakeGrace is how long after its publication an edit may be ahead of its Create.
const overtakeGrace = 10 * time.Minute

const lateLane = "late:"

// waitsForCreate puts an edit of a post that is not known yet aside, in a lane of its own, if the post is so new that its
// Create may still be under way. An edit of an old post is of one that was never bridged.
func (b *Bridge) waitsForCreate(ctx context.Context, j queue.Job, in activitypub.Inbound, env envelope, acc *identity.Account, why translate.DropReason) (bool, error) {
	published, ok := as2.ParseTime(str(env.objectDoc["published"]))
	if why != translate.DropUnknownTarget || env.typ != "Update" || !ok || b.Now().Sub(published) > overtakeGrace {
		return false, nil
	}
	if strings.HasPrefix(j.Key, lateLane) {
		return true, queue.Snooze("create_not_seen", time.Second<<min(j.Deferred, 6))
	}
	return true, b.done(ctx, j, func(tx Tx) error {
		late, err := job(JobInbound, lateLane+env.object, InboundJob{Inbound: in})
		if err != nil {
			return err
		}
		late.Subject, late.Epoch = string(acc.Subject()), acc.Epoch
		return tx.Enqueue(later(late, tx.Now().Add(time.Second)))
	})
}
