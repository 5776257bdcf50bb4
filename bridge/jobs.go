package bridge

import (
	"encoding/json"
	"fmt"
	"time"

	"footbridge/activitypub"
	"footbridge/atproto"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// Kinds of jobs. Each has one handler, in the file named after it.
const (
	JobInbound   = "ap.in"         // an activity that arrived: from_activitypub.go
	JobCommit    = "at.in"         // a commit of a repo: from_atproto.go
	JobAccount   = "at.account"    // an identity or account event: from_atproto.go
	JobProvision = "provision"     // make the copy: provision.go
	JobRefresh   = "refresh"       // bring the copy's profile up to date: profile.go
	JobPLC       = "plc"           // send a stored PLC operation: provision.go
	JobCrawl     = "crawl"         // tell the relays: provision.go
	JobRelay     = "relay"         // look whether the relays show a repo: health.go
	JobDeliver   = "deliver"       // one activity to one inbox: deliver.go
	JobDelete    = "deliver.erase" // the same for Deletes and Undos, kept trying for 14 days
	JobChat      = "chat"          // a command that came by chat: chat.go
	JobNotify    = "notify"        // a private message to a person: notify.go
	JobErase     = "erase"         // a step of an erasure: leave.go
	JobVerify    = "erase.verify"  // look whether it is gone: leave.go
	JobTombstone = "plc.tombstone" // the end of a DID, after the grace period: leave.go
	JobReconcile = "reconcile"     // bring a copy into the state of its consent: commands.go
	JobUpkeep    = "upkeep"        // daily: retention, expiry, relay health, reconcile: upkeep.go
)

// InboundJob is the payload of JobInbound.
type InboundJob struct {
	Inbound activitypub.Inbound `json:"inbound"`
}

// CommitJob is the payload of JobCommit.
type CommitJob struct {
	Commit atproto.Commit `json:"commit"`
}

// AccountJob is the payload of JobAccount.
type AccountJob struct {
	Event atproto.AccountEvent `json:"event"`
}

// DeliverJob is the payload of JobDeliver and JobDelete: the body lies in the message table.
type DeliverJob struct {
	Message string           `json:"message"`
	Inbox   string           `json:"inbox"`
	From    identity.ActorID `json:"from"`
	// Kind, Scope and Purpose say which permit to ask for just before the POST.
	Kind    consent.Kind  `json:"kind"`
	Scope   consent.Scope `json:"scope,omitempty"`
	Purpose string        `json:"purpose,omitempty"`
	// Subject is whose permit that is.
	Subject identity.Subject `json:"subject"`
	// Private: the message is forgotten once it has arrived.
	Private bool `json:"private,omitempty"`
}

// SubjectJob is the payload of jobs about a person.
type SubjectJob struct {
	Subject identity.Subject `json:"subject"`
	Step    string           `json:"step,omitempty"`
}

// NotifyJob is the payload of JobNotify.
type NotifyJob struct {
	To      identity.Subject `json:"to"`
	Purpose string           `json:"purpose"`
	Text    string           `json:"text"`
	Lang    string           `json:"lang,omitempty"`
	ReplyTo string           `json:"replyTo,omitempty"`
}

// job makes a queue.Job with a JSON payload.
func job(kind, key string, payload any) (queue.Job, error) {
	body, err := json.Marshal(payload)
	if err != nil {
		return queue.Job{}, fmt.Errorf("encoding a %s job: %w", kind, err)
	}
	return queue.Job{Kind: kind, Key: key, Priority: queue.Normal, Payload: body}, nil
}

// subjectJob is job for work about a person, keyed by them.
func subjectJob(kind string, acc *identity.Account, step string) (queue.Job, error) {
	j, err := job(kind, authorKey(acc.Subject()), SubjectJob{Subject: acc.Subject(), Step: step})
	j.Subject, j.Epoch = string(acc.Subject()), acc.Epoch
	return j, err
}

// authorKey is the lane of everything that one author does.
func authorKey(s identity.Subject) string { return "author:" + string(s) }

// contactKey is the lane of what somebody says to the bridge itself, and of the end of their account: a no must not wait
// behind a thousand posts of the same person.
func contactKey(s identity.Subject) string { return "contact:" + string(s) }

// enqueue writes jobs made by makers, stopping at the first error.
func enqueue(tx Tx, jobs ...queue.Job) error { return tx.Enqueue(jobs...) }

func decode[T any](j queue.Job) (T, error) {
	var v T
	if err := json.Unmarshal(j.Payload, &v); err != nil {
		return v, queue.Dead(fmt.Errorf("decoding a %s job: %w", j.Kind, err))
	}
	return v, nil
}

// later sets the earliest time of a job.
func later(j queue.Job, at time.Time) queue.Job {
	j.After = at
	return j
}
