package translate

import (
	"footbridge/activitypub/as2"
	"strings"
	"time"
)

// maxOptions bounds what is read of a poll.
const maxOptions = 50

// maxPollTail is how much of a post the options may take, in graphemes.
const maxPollTail = 200

// poll shows a Question: its text, the options as lines, when it ends, and a card where votes are cast.
func (j *apJob) poll(d *apDraft) {
	o := j.obj
	d.body, d.langs = j.text()
	if name := j.plain(o.Text("name")); name.text != "" && name.text != d.body.text {
		d.body = joinRich("\n\n", name, d.body)
	}
	options, many := o.Get("oneOf").List(), false
	if len(options) == 0 {
		options, many = o.Get("anyOf").List(), true
	}
	d.tail = joinRich("\n\n", j.options(options, many), rich{text: j.pollEnd(o)})
	d.wantHome = true
	d.home.title = j.lines.poll + " · " + hostOf(d.home.url)
	d.home.description = plainLines(d.tail.text)
	j.lose(LossPoll, "")
}

func plainLines(s string) string { return strings.TrimSpace(s) }

func (j *apJob) options(list []as2.Value, many bool) rich {
	box := "○ "
	if many {
		box = "☐ "
	}
	var out rich
	for i := range list[:min(len(list), maxOptions)] {
		name := j.plain(list[i].Text("name"))
		if name.text == "" {
			continue
		}
		next := joinRich("\n", out, appendRich(rich{text: box}, name))
		if !fits(next.text, maxPollTail, maxPostBytes/2) {
			j.lose(LossPollOptions, "")
			if out.text == "" {
				next, _ = next.cut(maxPollTail, maxPostBytes/2)
				return next
			}
			return appendRich(out, rich{text: "\n" + ellipsis})
		}
		out = next
	}
	return out
}

// pollEnd is the line that says until when votes count. closed is a date or a boolean.
func (j *apJob) pollEnd(o *as2.Value) string {
	if t, ok := o.Time("closed"); ok && !t.After(j.c.Now) || o.Get("closed").Bool() {
		return j.lines.pollClosed
	}
	end, ok := o.Time("endTime")
	switch {
	case !ok:
		return ""
	case !j.c.Now.IsZero() && !end.After(j.c.Now):
		return j.lines.pollClosed
	}
	return j.lines.pollEnds + " " + humanTime(end)
}

// humanTime is a time as text of any language: date, hour and zone.
func humanTime(t time.Time) string {
	_, offset := t.Zone()
	if offset == 0 {
		return t.Format("2006-01-02 15:04") + " UTC"
	}
	return t.Format("2006-01-02 15:04 -07:00")
}
