/* SPDX-License-Identifier: BSD-3-Clause */
#include <viodm/port_pcap.h>

#include <errno.h>
#include <pcap/pcap.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct capture_port {
	struct vio_port base;
	struct vio_port *inner;
	uint32_t snaplen;
	pthread_mutex_t lock; /* all below: pairs are on several threads */
	pcap_t *format;
	pcap_dumper_t *file;
	bool broken;
	uint8_t buf[VIO_FRAME_MAX]; /* a frame in one piece */
};

struct capture_queue {
	struct vio_port_queue base;
	struct vio_port_queue *inner;
	struct vio_port_room room; /* what the device said last */
};

static struct capture_port *to_capture(struct vio_port *port)
{
	return vio_container_of(port, struct capture_port, base);
}

static struct capture_queue *to_queue(struct vio_port_queue *pq)
{
	return vio_container_of(pq, struct capture_queue, base);
}

/* Of the wrapped port's queue. */
static struct capture_queue *outer(struct vio_port_queue *inner)
{
	return inner->user_data;
}

/* ---- the file --------------------------------------------------------------------------------
 */

static void capture_begin(struct capture_port *cp, struct pcap_pkthdr *hdr)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	hdr->ts.tv_sec = now.tv_sec;
	hdr->ts.tv_usec = now.tv_nsec; /* the file says that these are nanoseconds */
	pthread_mutex_lock(&cp->lock);
}

static void capture_write(struct capture_port *cp, struct pcap_pkthdr *hdr, const struct iovec *iov,
			  uint32_t n, size_t len)
{
	size_t want = len < cp->snaplen ? len : cp->snaplen, at = 0;

	if (cp->broken)
		return;
	for (uint32_t i = 0; i < n && at < want; i++) {
		size_t part = iov[i].iov_len < want - at ? iov[i].iov_len : want - at;

		if (part > 0)
			memcpy(cp->buf + at, iov[i].iov_base, part);
		at += part;
	}
	hdr->caplen = (bpf_u_int32)at;
	hdr->len = (bpf_u_int32)len;
	pcap_dump((u_char *)cp->file, hdr, cp->buf);
}

static void capture_end(struct capture_port *cp, bool flush)
{
	if (flush && !cp->broken && pcap_dump_flush(cp->file) < 0)
		cp->broken = true;
	pthread_mutex_unlock(&cp->lock);
}

static void capture_frames(struct vio_port *port, const struct vio_frame *frames, unsigned n,
			   bool flush)
{
	struct capture_port *cp = to_capture(port);
	struct pcap_pkthdr hdr;

	if (n == 0)
		return;
	capture_begin(cp, &hdr);
	for (unsigned i = 0; i < n; i++)
		capture_write(cp, &hdr, frames[i].iov, frames[i].n_iov, frames[i].len);
	capture_end(cp, flush);
}

/* ---- between the wrapped port and the device -------------------------------------------------
 */

static bool on_room(struct vio_port_queue *inner, struct vio_port_room *room)
{
	struct capture_queue *cq = outer(inner);

	if (!cq->base.user->room(&cq->base, room))
		return false;
	cq->room = *room;
	return true;
}

static void on_received(struct vio_port_queue *inner, const struct vio_frame_hdr *hdr, size_t len)
{
	struct capture_queue *cq = outer(inner);
	struct vio_frame frame = {
		.iov = cq->room.iov, .n_iov = cq->room.n_iov, .len = (uint32_t)len};

	/* Before the device hands the buffers to the driver. */
	capture_frames(cq->base.port, &frame, 1, false);
	cq->base.user->received(&cq->base, hdr, len);
}

static unsigned on_deliver(struct vio_port_queue *inner, const struct vio_frame *frames, unsigned n)
{
	struct capture_queue *cq = outer(inner);
	unsigned taken = cq->base.user->deliver(&cq->base, frames, n);

	capture_frames(cq->base.port, frames, taken, false);
	return taken;
}

static void on_flush(struct vio_port_queue *inner)
{
	struct capture_queue *cq = outer(inner);
	struct capture_port *cp = to_capture(cq->base.port);

	pthread_mutex_lock(&cp->lock);
	capture_end(cp, true);
	cq->base.user->flush(&cq->base);
}

static void on_writable(struct vio_port_queue *inner)
{
	struct capture_queue *cq = outer(inner);

	cq->base.user->writable(&cq->base);
}

static const struct vio_port_user capture_user = {
	.room = on_room,
	.received = on_received,
	.deliver = on_deliver,
	.flush = on_flush,
	.writable = on_writable,
};

static void on_link(struct vio_port *inner, bool up)
{
	struct capture_port *cp = inner->user;

	vio_port_link(&cp->base, up);
}

/* ---- the port ---------------------------------------------------------------------------------
 */

static int capture_info(struct vio_port *port, struct vio_port_info *info)
{
	return vio_port_info(to_capture(port)->inner, info);
}

static int capture_attach(struct vio_port *port, uint16_t index, struct vio_loop *loop,
			  struct vio_port_queue **out)
{
	struct capture_queue *cq = calloc(1, sizeof(*cq));
	int r;

	if (!cq)
		return -ENOMEM;
	r = vio_port_attach(to_capture(port)->inner, index, loop, &capture_user, cq, &cq->inner);
	if (r < 0) {
		free(cq);
		return r;
	}
	*out = &cq->base;
	return 0;
}

static void capture_detach(struct vio_port_queue *pq)
{
	vio_port_detach(to_queue(pq)->inner);
	free(to_queue(pq));
}

static unsigned capture_send(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	unsigned sent = vio_port_send(to_queue(pq)->inner, frames, n);

	capture_frames(pq->port, frames, sent, true);
	return sent;
}

static void capture_receive(struct vio_port_queue *pq, bool on)
{
	vio_port_receive(to_queue(pq)->inner, on);
}

static void capture_select(struct vio_port_queue *pq, bool on)
{
	vio_port_select(to_queue(pq)->inner, on);
}

static void capture_set_link(struct vio_port *port, bool up)
{
	vio_port_set_link(to_capture(port)->inner, up);
}

static int capture_set_offloads(struct vio_port *port, uint64_t offloads)
{
	return vio_port_set_offloads(to_capture(port)->inner, offloads);
}

static void capture_free(struct capture_port *cp)
{
	if (cp->file)
		pcap_dump_close(cp->file);
	if (cp->format)
		pcap_close(cp->format);
	pthread_mutex_destroy(&cp->lock);
	free(cp);
}

static void capture_close(struct vio_port *port)
{
	struct capture_port *cp = to_capture(port);

	vio_port_close(cp->inner);
	capture_free(cp);
}

static const struct vio_port_ops capture_ops = {
	.name = "pcap",
	.info = capture_info,
	.attach = capture_attach,
	.detach = capture_detach,
	.send = capture_send,
	.receive = capture_receive,
	.select = capture_select,
	.set_offloads = capture_set_offloads,
	.set_link = capture_set_link,
	.close = capture_close,
};

/* Opened here: libpcap would take "-" for standard output, and tell no errno. */
static int capture_open_file(struct capture_port *cp, const char *path)
{
	FILE *f;

	cp->format = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, (int)cp->snaplen,
							  PCAP_TSTAMP_PRECISION_NANO);
	if (!cp->format)
		return -ENOMEM;
	f = fopen(path, "we");
	if (!f)
		return -errno;
	cp->file = pcap_dump_fopen(cp->format, f);
	if (!cp->file) {
		fclose(f);
		return -EIO;
	}
	return pcap_dump_flush(cp->file) < 0 ? -EIO : 0;
}

int vio_port_pcap_open(struct vio_port *port, const struct vio_port_pcap_config *cfg,
		       struct vio_port **out)
{
	struct capture_port *cp;
	int r;

	if (!cfg->path || !*cfg->path)
		return -EINVAL;
	cp = calloc(1, sizeof(*cp));
	if (!cp)
		return -ENOMEM;
	cp->base.ops = &capture_ops;
	cp->inner = port;
	cp->snaplen = cfg->snaplen && cfg->snaplen < VIO_FRAME_MAX ? cfg->snaplen : VIO_FRAME_MAX;
	pthread_mutex_init(&cp->lock, NULL);
	r = capture_open_file(cp, cfg->path);
	if (r < 0) {
		capture_free(cp);
		return r;
	}
	port->on_link = on_link;
	port->user = cp;
	*out = &cp->base;
	return 0;
}
