/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port that records: what passes through it is in the file, and passes unchanged.
 */
#include <errno.h>
#include <pcap/pcap.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>
#include <viodm/port_pcap.h>
#include <viodm/ports.h>

#include "port_user.h"

#define FILE_NAME "port-pcap-test.pcap"

static struct vio_port *record(struct vio_port *inner, uint32_t snaplen)
{
	struct vio_port_pcap_config cfg = {.path = FILE_NAME, .snaplen = snaplen};
	struct vio_port *port;

	MUST(vio_port_pcap_open(inner, &cfg, &port));
	return port;
}

static pcap_t *file_open(void)
{
	char err[PCAP_ERRBUF_SIZE];
	pcap_t *p =
		pcap_open_offline_with_tstamp_precision(FILE_NAME, PCAP_TSTAMP_PRECISION_NANO, err);

	CU_ASSERT_FATAL(p != NULL);
	CU_ASSERT_EQUAL(pcap_datalink(p), DLT_EN10MB);
	return p;
}

/* The next frame of the file is this one, of `len` bytes, of which `kept` were written. */
static void check_next(pcap_t *p, const uint8_t *data, size_t len, size_t kept)
{
	struct pcap_pkthdr *hdr;
	const u_char *bytes;

	CU_ASSERT_EQUAL_FATAL(pcap_next_ex(p, &hdr, &bytes), 1);
	CU_ASSERT_EQUAL(hdr->len, len);
	CU_ASSERT_EQUAL_FATAL(hdr->caplen, kept);
	CU_ASSERT_EQUAL(memcmp(bytes, data, kept), 0);
	CU_ASSERT(hdr->ts.tv_sec >= time(NULL) - 100 && hdr->ts.tv_sec <= time(NULL));
	CU_ASSERT(hdr->ts.tv_usec >= 0 && hdr->ts.tv_usec < 1000000000);
}

static void check_end(pcap_t *p)
{
	struct pcap_pkthdr *hdr;
	const u_char *bytes;

	CU_ASSERT_EQUAL(pcap_next_ex(p, &hdr, &bytes), PCAP_ERROR_BREAK);
	pcap_close(p);
}

static void fill(uint8_t *data, size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(number + i * 3);
}

/*
 * Through loop each frame passes twice: taken by the device, then sent. The file is complete after
 * each of them, and those that had to wait are written once.
 */
static void both_ways(uint32_t snaplen)
{
	static const size_t sizes[] = {14, 60, 61, 1514, 9000, VIO_FRAME_MAX};
	static uint8_t data[VIO_FRAME_MAX];
	struct vio_port *port;
	struct vio_loop *loop;
	struct port_user *u;
	pcap_t *p;

	MUST(vio_loop_manual_create(&loop));
	MUST(vio_port_loop_open(&port));
	port = record(port, snaplen);
	u = user_attach(port, loop, 3);
	check_end(file_open());
	for (unsigned i = 0; i < VIO_ARRAY_LEN(sizes); i++) {
		fill(data, sizes[i], i);
		u->room = 0;
		CU_ASSERT_FALSE(user_send(u, data, sizes[i]));
		u->n_writable = 0;
		user_receive(u, 1);
		user_settle(u);
		CU_ASSERT_EQUAL(u->n_writable, 1);
		CU_ASSERT_TRUE(user_send(u, data, sizes[i]));
		CU_ASSERT_EQUAL(u->n_flush, i + 1);
		p = file_open();
		for (unsigned k = 0; k <= i; k++) {
			size_t kept = snaplen && sizes[k] > snaplen ? snaplen : sizes[k];

			fill(data, sizes[k], k);
			CU_ASSERT_EQUAL(u->got[k].len, sizes[k]);
			CU_ASSERT_EQUAL(memcmp(u->got[k].data, data, sizes[k]), 0);
			check_next(p, data, sizes[k], kept);
			check_next(p, data, sizes[k], kept);
		}
		check_end(p);
	}
	user_detach(u);
	vio_port_close(port);
	vio_loop_destroy(loop);
}

static void test_both_ways(void)
{
	both_ways(0);
	both_ways(60);
	both_ways(1);
	both_ways(UINT32_MAX);
}

/* A port for this test: reads one frame into the device's room when it is told to receive. */
struct room_port {
	struct vio_port base;
	struct vio_port_queue pq;
	uint64_t offloads;
	bool unselected;
	bool closed;
};

static struct room_port *to_room_port(struct vio_port *port)
{
	return vio_container_of(port, struct room_port, base);
}

static int room_info(struct vio_port *port, struct vio_port_info *info)
{
	(void)port;
	*info = (struct vio_port_info){.offloads = 0x123, .max_pairs = 7, .mtu = 999};
	return 0;
}

static int room_attach(struct vio_port *port, uint16_t index, struct vio_loop *loop,
		       struct vio_port_queue **out)
{
	(void)loop;
	if (index)
		return -EPERM;
	*out = &to_room_port(port)->pq;
	return 0;
}

static void room_detach(struct vio_port_queue *pq)
{
	pq->user = NULL;
}

static unsigned room_send(struct vio_port_queue *pq, const struct vio_frame *frames, unsigned n)
{
	(void)pq;
	(void)frames;
	return n / 2;
}

static void room_receive(struct vio_port_queue *pq, bool on)
{
	struct vio_frame_hdr hdr = {.flags = 1};
	struct vio_port_room room;
	unsigned at = 0;

	if (!on || !pq->user->room(pq, &room))
		return;
	for (uint32_t i = 0; i < room.n_iov; i++)
		for (size_t k = 0; k < room.iov[i].iov_len && at < 100; k++)
			((uint8_t *)room.iov[i].iov_base)[k] = (uint8_t)(at++ * 3);
	pq->user->received(pq, &hdr, at);
	pq->user->flush(pq);
}

static void room_select(struct vio_port_queue *pq, bool on)
{
	to_room_port(pq->port)->unselected = !on;
}

static int room_set_offloads(struct vio_port *port, uint64_t offloads)
{
	to_room_port(port)->offloads = offloads;
	return -ENOSPC;
}

static void room_close(struct vio_port *port)
{
	to_room_port(port)->closed = true;
}

static const struct vio_port_ops room_ops = {
	.name = "room",
	.info = room_info,
	.attach = room_attach,
	.detach = room_detach,
	.send = room_send,
	.receive = room_receive,
	.select = room_select,
	.set_offloads = room_set_offloads,
	.close = room_close,
};

static void on_link(struct vio_port *port, bool up)
{
	*(int *)port->user = up ? 1 : -1;
}

/* Everything a port says or is told goes through, both ways. */
static void test_passes_all_on(void)
{
	struct room_port rp = {.base.ops = &room_ops};
	struct vio_port *port = record(&rp.base, 0);
	struct vio_frame frames[5];
	struct vio_port_queue *pq;
	struct vio_port_info info;
	uint8_t data[2][100];
	struct iovec iov[2] = {{data[0], 100}, {data[1], 100}};
	struct port_user *u;
	int link = 0;
	pcap_t *p;

	port->on_link = on_link;
	port->user = &link;
	vio_port_link(&rp.base, false);
	CU_ASSERT_EQUAL(link, -1);
	CU_ASSERT_EQUAL(vio_port_info(port, &info), 0);
	CU_ASSERT_TRUE(info.offloads == 0x123 && info.max_pairs == 7 && info.mtu == 999);
	CU_ASSERT_EQUAL(vio_port_set_offloads(port, 0x77), -ENOSPC);
	CU_ASSERT_EQUAL(rp.offloads, 0x77);
	CU_ASSERT_EQUAL(vio_port_attach(port, 1, NULL, &port_user, NULL, &pq), -EPERM);
	u = user_attach(port, NULL, 0);
	vio_port_select(u->pq, false);
	CU_ASSERT_TRUE(rp.unselected);

	u->room_len = 150;
	u->room_cut = 4;
	user_receive(u, 1); /* into the room, in pieces */
	user_receive(u, 0);
	CU_ASSERT_TRUE(u->n == 1 && u->n_flush == 1 && u->got[0].hdr.flags == 1);
	fill(data[0], 100, 0);
	fill(data[1], 100, 1);
	for (unsigned i = 0; i < 5; i++)
		frames[i] = (struct vio_frame){.iov = &iov[i % 2], .n_iov = 1, .len = 100};
	CU_ASSERT_EQUAL(vio_port_send(u->pq, frames, 5), 2);
	rp.pq.user->writable(&rp.pq);
	CU_ASSERT_EQUAL(u->n_writable, 1);

	p = file_open();
	check_next(p, data[0], 100, 100); /* the one received */
	check_next(p, data[0], 100, 100); /* and two sent */
	check_next(p, data[1], 100, 100);
	check_end(p);
	user_detach(u);
	CU_ASSERT_EQUAL((uintptr_t)rp.pq.user, 0);
	vio_port_close(port);
	CU_ASSERT_TRUE(rp.closed);
}

#define THREADS 4u
#define FRAMES	500u

struct sender {
	struct vio_port *port;
	unsigned index;
};

static void *send_many(void *arg)
{
	struct sender *s = arg;
	struct vio_loop *loop;
	struct port_user *u;
	uint8_t data[300];

	MUST(vio_loop_manual_create(&loop));
	u = user_attach(s->port, loop, (uint16_t)s->index);
	memset(data, (int)s->index, sizeof(data));
	for (unsigned i = 0; i < FRAMES; i++)
		CU_ASSERT_TRUE(user_send(u, data, 60 + (i + s->index) % 200));
	user_detach(u);
	vio_loop_destroy(loop);
	return NULL;
}

/* Pairs on several threads: every frame is there, and whole. */
static void test_threads(void)
{
	struct sender s[THREADS];
	pthread_t threads[THREADS];
	unsigned seen[THREADS] = {0};
	struct pcap_pkthdr *hdr;
	const u_char *bytes;
	struct vio_port *port;
	bool whole = true;
	pcap_t *p;

	MUST(vio_port_null_open(&(struct vio_port_null_config){0}, &port));
	port = record(port, 0);
	for (unsigned i = 0; i < THREADS; i++) {
		s[i] = (struct sender){port, i};
		CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, send_many, &s[i]) == 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	vio_port_close(port);
	p = file_open();
	while (pcap_next_ex(p, &hdr, &bytes) == 1) {
		unsigned i = bytes[0];

		CU_ASSERT_FATAL(i < THREADS);
		CU_ASSERT_EQUAL(hdr->len, 60 + (seen[i] + i) % 200); /* in order, too */
		for (unsigned k = 0; k < hdr->caplen; k++)
			whole = whole && bytes[k] == i;
		seen[i]++;
	}
	pcap_close(p);
	CU_ASSERT_TRUE(whole);
	for (unsigned i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL(seen[i], FRAMES);
}

/* No file, no port; the one that was to be wrapped stays the caller's, as it was. */
static void test_no_file(void)
{
	struct vio_port_pcap_config cfg = {.path = "no/such/folder/file.pcap"};
	struct room_port rp = {.base.ops = &room_ops};
	struct vio_port *port;

	CU_ASSERT_EQUAL(vio_port_pcap_open(&rp.base, &cfg, &port), -ENOENT);
	cfg.path = "";
	CU_ASSERT_EQUAL(vio_port_pcap_open(&rp.base, &cfg, &port), -EINVAL);
	cfg.path = NULL;
	CU_ASSERT_EQUAL(vio_port_pcap_open(&rp.base, &cfg, &port), -EINVAL);
	cfg.path = "/dev/full";
	CU_ASSERT(vio_port_pcap_open(&rp.base, &cfg, &port) < 0);
	CU_ASSERT_FALSE(rp.closed);
	CU_ASSERT_EQUAL((uintptr_t)rp.base.user, 0);
}

static CU_TestInfo tests[] = {
	{"both ways", test_both_ways},
	{"passes all on", test_passes_all_on},
	{"threads", test_threads},
	{"no file", test_no_file},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	int r = suite_run("port_pcap", tests);

	unlink(FILE_NAME);
	return r;
}
