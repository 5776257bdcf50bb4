package translate

import (
	"footbridge/activitypub/as2"
	"time"
)

// atDatetime is the form in which atproto records write times.
const atDatetime = "2006-01-02T15:04:05.000Z"

func formatTime(t time.Time) string { return t.UTC().Format(atDatetime) }

// published is the date of an object, else that of its activity, else the zero time.
func (j *apJob) published(o *as2.Value) time.Time {
	t, ok := o.Time("published")
	if !ok && !o.Has("published") {
		t, ok = j.doc.Time("published")
	}
	if !ok {
		return time.Time{}
	}
	return t
}

// createdAt is the date for a record: the publication, or the time of the conversion where that is missing, unreadable
// or in the future (a clock that runs a little ahead is let through).
func (j *apJob) createdAt(o *as2.Value) string {
	t := j.published(o)
	if t.IsZero() || t.After(j.c.Now.Add(10*time.Minute)) {
		if s := o.Get("published").Str(); s != "" {
			j.lose(LossDateReplaced, s)
		}
		t = j.c.Now
	}
	return formatTime(t)
}
