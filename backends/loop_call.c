/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop_call.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* On the caller's stack: the caller sleeps until `ran`. */
struct loop_call_entry {
	void (*fn)(void *arg);
	void *arg;
	struct loop_call_entry *next;
	bool ran;
};

int loop_call_init(struct loop_call *lc)
{
	lc->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (lc->fd < 0)
		return -errno;
	lc->owner = pthread_self();
	lc->first = NULL;
	lc->last = &lc->first;
	pthread_mutex_init(&lc->lock, NULL);
	pthread_cond_init(&lc->done, NULL);
	return 0;
}

void loop_call_fini(struct loop_call *lc)
{
	pthread_cond_destroy(&lc->done);
	pthread_mutex_destroy(&lc->lock);
	close(lc->fd);
}

void loop_call_own(struct loop_call *lc)
{
	pthread_mutex_lock(&lc->lock);
	lc->owner = pthread_self();
	pthread_mutex_unlock(&lc->lock);
}

void loop_call_run(struct loop_call *lc, void (*fn)(void *arg), void *arg)
{
	struct loop_call_entry e = {.fn = fn, .arg = arg};

	pthread_mutex_lock(&lc->lock);
	if (pthread_equal(lc->owner, pthread_self())) {
		pthread_mutex_unlock(&lc->lock);
		fn(arg);
		return;
	}
	*lc->last = &e;
	lc->last = &e.next;
	vio_event_signal(lc->fd);
	while (!e.ran)
		pthread_cond_wait(&lc->done, &lc->lock);
	pthread_mutex_unlock(&lc->lock);
}

int loop_call_serve(struct loop_call *lc)
{
	int served = 0;

	vio_event_take(lc->fd); /* nothing there: the mailbox is looked at all the same */
	pthread_mutex_lock(&lc->lock);
	while (lc->first) {
		struct loop_call_entry *e = lc->first;

		lc->first = e->next;
		if (!lc->first)
			lc->last = &lc->first;
		pthread_mutex_unlock(&lc->lock);
		e->fn(e->arg);
		served++;
		pthread_mutex_lock(&lc->lock);
		e->ran = true;
		pthread_cond_broadcast(&lc->done);
	}
	pthread_mutex_unlock(&lc->lock);
	return served;
}

void defer_list_init(struct defer_list *dl)
{
	dl->first = NULL;
	dl->last = &dl->first;
	dl->n = 0;
}

void defer_list_add(struct defer_list *dl, struct vio_defer *d)
{
	d->queued = true;
	d->next = NULL;
	*dl->last = d;
	dl->last = &d->next;
	dl->n++;
}

void defer_list_remove(struct defer_list *dl, struct vio_defer *d)
{
	for (struct vio_defer **p = &dl->first; *p; p = &(*p)->next) {
		if (*p != d)
			continue;
		*p = d->next;
		if (!*p)
			dl->last = p;
		d->queued = false;
		dl->n--;
		return;
	}
}

int defer_list_run(struct defer_list *dl)
{
	unsigned n = dl->n;
	int ran = 0;

	/* One at a time off the front: a defer may cancel another one, or itself be queued again.
	 */
	while (n-- > 0 && dl->first) {
		struct vio_defer *d = dl->first;

		defer_list_remove(dl, d);
		d->run(d);
		ran++;
	}
	return ran;
}
