/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tap port: opening it, frames both ways, its interface coming and going.
 */
#include "tap_rig.h"

static void test_both_ways(void)
{
	uint8_t data[2000];
	struct rig t;

	rig_init(&t, 1);
	user_receive(t.u[0], 100);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(lengths); i++) {
		t.u[0]->room_cut = i % 4;
		host_sends(&t, lengths[i], i);
		CU_ASSERT_TRUE(user_wait(t.u[0], 1));
		CU_ASSERT_TRUE(t.u[0]->n == 1 && is_frame(&t.u[0]->got[0], lengths[i], i));
		user_drop(t.u[0]);
		fill(data, lengths[i], i + 100);
		CU_ASSERT_TRUE(user_send(t.u[0], data, lengths[i]));
		CU_ASSERT_TRUE(host_gets(&t, lengths[i], i + 100));
	}
	CU_ASSERT_TRUE(user_send(t.u[0], data, 1)); /* a runt: dropped */
	CU_ASSERT_TRUE(user_send(t.u[0], data, lengths[0]));
	CU_ASSERT_EQUAL(netns_recv(t.sock, data, sizeof(data)), (ssize_t)lengths[0]);
	CU_ASSERT_EQUAL(t.n_down + t.n_up, 0);
	rig_fini(&t);
}

/* In as many pieces as a driver cares to make of it, more than the kernel takes at once. */
static void test_pieces(void)
{
	static struct iovec iov[1514];
	static const unsigned pieces[] = {1, 2, 1022, 1023, 1024, 1025, 1514};
	uint8_t data[1514];
	struct rig t;

	rig_init(&t, 1);
	for (unsigned k = 0; k < VIO_ARRAY_LEN(pieces); k++) {
		struct vio_frame f = {.iov = iov, .n_iov = pieces[k], .len = sizeof(data)};

		fill(data, sizeof(data), k);
		for (unsigned i = 0; i < pieces[k]; i++)
			iov[i] = (struct iovec){data + i, 1};
		iov[pieces[k] - 1].iov_len = sizeof(data) - pieces[k] + 1;
		CU_ASSERT_EQUAL(vio_port_send(t.u[0]->pq, &f, 1), 1);
		CU_ASSERT_TRUE(host_gets(&t, sizeof(data), k));
	}
	rig_fini(&t);
}

/* Frames wait while there is no room, none is lost, and the loop has nothing to do meanwhile. */
static void test_no_room(void)
{
	unsigned seen = 0;
	struct rig t;

	rig_init(&t, 1);
	for (unsigned i = 0; i < 200; i++)
		host_sends(&t, 100, i);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t.loop, 0), 0); /* it does not receive yet */
	for (unsigned room = 0; seen < 200; room++) {
		unsigned want = room < 200 - seen ? room : 200 - seen;

		user_receive(t.u[0], room);
		CU_ASSERT_TRUE_FATAL(user_wait(t.u[0], want));
		vio_loop_manual_run(t.loop, 0);
		CU_ASSERT_EQUAL(t.u[0]->n, want);
		CU_ASSERT_EQUAL(vio_loop_manual_run(t.loop, 0), 0);
		for (unsigned i = 0; i < t.u[0]->n; i++)
			CU_ASSERT_TRUE(is_frame(&t.u[0]->got[i], 100, seen++));
		user_drop(t.u[0]);
	}
	rig_fini(&t);
}

/* One turn brings a bounded number of frames, with one flush. */
static void test_batch(void)
{
	struct rig t;

	rig_init(&t, 1);
	user_receive(t.u[0], 300);
	for (unsigned i = 0; i < 300; i++)
		host_sends(&t, 60, i);
	for (unsigned i = 1; i <= 4; i++) {
		CU_ASSERT_EQUAL(vio_loop_manual_run(t.loop, 1000), 1);
		CU_ASSERT_EQUAL(t.u[0]->n, 64 * i);
		CU_ASSERT_EQUAL(t.u[0]->n_flush, i);
	}
	CU_ASSERT_TRUE(user_wait(t.u[0], 300));
	rig_fini(&t);
}

/* A frame that does not fit is dropped, not cut; the next one comes. */
static void test_too_long(void)
{
	struct rig t;

	rig_init(&t, 1);
	t.u[0]->room_len = 200;
	user_receive(t.u[0], 10);
	host_sends(&t, 201, 1);
	host_sends(&t, 200, 2);
	host_sends(&t, 1514, 3);
	host_sends(&t, 60, 4);
	CU_ASSERT_TRUE(user_wait(t.u[0], 2));
	CU_ASSERT_EQUAL_FATAL(t.u[0]->n, 2);
	CU_ASSERT_TRUE(is_frame(&t.u[0]->got[0], 200, 2));
	CU_ASSERT_TRUE(is_frame(&t.u[0]->got[1], 60, 4));
	rig_fini(&t);
}

/* Off: frames stay. They outlast a detach, too. */
static void test_off_and_detach(void)
{
	struct rig t;

	rig_init(&t, 1);
	user_receive(t.u[0], 10);
	user_off(t.u[0]);
	for (unsigned i = 0; i < 6; i++)
		host_sends(&t, 100, i);
	user_settle(t.u[0]);
	CU_ASSERT_EQUAL(t.u[0]->n, 0);
	user_receive(t.u[0], 3);
	CU_ASSERT_TRUE(user_wait(t.u[0], 3));
	CU_ASSERT_TRUE(t.u[0]->n == 3 && is_frame(&t.u[0]->got[2], 100, 2));
	user_detach(t.u[0]);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t.loop, 0), 0);
	t.u[0] = user_attach(t.port, t.loop, 0);
	user_receive(t.u[0], 10);
	CU_ASSERT_TRUE(user_wait(t.u[0], 3));
	CU_ASSERT_TRUE(t.u[0]->n == 3 && is_frame(&t.u[0]->got[0], 100, 3));
	rig_fini(&t);
}

/* While the interface is down what is sent is dropped; then it goes on. */
static void test_down(void)
{
	uint8_t data[100];
	struct rig t;

	rig_init(&t, 1);
	user_receive(t.u[0], 10);
	netns_run("ip link set tap0 down");
	fill(data, 100, 1);
	CU_ASSERT_TRUE(user_send(t.u[0], data, 100));
	user_settle(t.u[0]);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t.loop, 0), 0);
	netns_run("ip link set tap0 up");
	close(t.sock);
	t.sock = netns_socket("tap0", NETNS_ETHERTYPE, false);
	fill(data, 100, 2);
	CU_ASSERT_TRUE(user_send(t.u[0], data, 100));
	CU_ASSERT_TRUE(host_gets(&t, 100, 2));
	host_sends(&t, 100, 3);
	CU_ASSERT_TRUE(user_wait(t.u[0], 1));
	CU_ASSERT_EQUAL(t.n_down, 0);
	rig_fini(&t);
}

static void fds_open(struct rig *t, const int *fds, unsigned n)
{
	struct vio_port_tap_config cfg = {.fds = fds, .n_fds = (uint16_t)n};
	struct vio_port *port;

	memset(t, 0, sizeof(*t));
	MUST(vio_port_tap_open(&cfg, &port));
	rig_on_port(t, port, n);
	rig_up(t);
}

static void test_by_fd(void)
{
	struct vio_port_info info;
	uint8_t data[100];
	struct rig t;
	int fds[2];

	fds[0] = tun_open("tapfd", TAP_FLAGS | IFF_MULTI_QUEUE);
	fds[1] = tun_open("tapfd", TAP_FLAGS | IFF_MULTI_QUEUE);
	fds_open(&t, fds, 2);
	CU_ASSERT_STRING_EQUAL(vio_port_tap_name(t.port), "tapfd");
	CU_ASSERT_EQUAL(vio_port_info(t.port, &info), 0);
	CU_ASSERT_EQUAL(info.max_pairs, 2);
	CU_ASSERT_EQUAL(info.mtu, 1500);
	netns_run("ip link set tapfd mtu 9000");
	CU_ASSERT_EQUAL(vio_port_info(t.port, &info), 0);
	CU_ASSERT_EQUAL(info.mtu, 9000);
	for (unsigned i = 0; i < 2; i++) {
		fill(data, 100, i);
		CU_ASSERT_TRUE(user_send(t.u[i], data, 100));
		CU_ASSERT_TRUE(host_gets(&t, 100, i));
		user_receive(t.u[i], 10); /* the descriptors do not block any more */
	}
	rig_fini(&t);
	CU_ASSERT_EQUAL(fcntl(fds[0], F_GETFD), -1);
	CU_ASSERT_EQUAL(fcntl(fds[1], F_GETFD), -1);
}

/* Descriptors that will not do stay the caller's. */
static void test_wrong_fd(void)
{
	static const short flags[] = {IFF_TAP | IFF_NO_PI, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int fds[2] = {-1, -1};
	struct vio_port_tap_config cfg = {.fds = fds, .n_fds = 1};
	struct vio_port *port;

	for (unsigned i = 0; i < VIO_ARRAY_LEN(flags); i++) {
		fds[0] = tun_open("tapx", flags[i]);
		CU_ASSERT_EQUAL(vio_port_tap_open(&cfg, &port), -EINVAL);
		CU_ASSERT_EQUAL(close(fds[0]), 0);
	}
	fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	CU_ASSERT_EQUAL(vio_port_tap_open(&cfg, &port), -ENOTTY);
	CU_ASSERT_EQUAL(close(fds[0]), 0);
	fds[0] = tun_open("tapx", TAP_FLAGS);
	cfg.name = "tapx";
	CU_ASSERT_EQUAL(vio_port_tap_open(&cfg, &port), -EINVAL);
	cfg.name = NULL;
	cfg.pairs = 2;
	CU_ASSERT_EQUAL(vio_port_tap_open(&cfg, &port), -EINVAL);
	cfg.pairs = 0;
	cfg.n_fds = 2; /* not of many queues */
	fds[1] = tun_open("tapy", TAP_FLAGS);
	CU_ASSERT_EQUAL(vio_port_tap_open(&cfg, &port), -EINVAL);
	close(fds[0]);
	close(fds[1]);
	fds[0] = tun_open("tapx", TAP_FLAGS | IFF_MULTI_QUEUE); /* of two interfaces */
	fds[1] = tun_open("tapy", TAP_FLAGS | IFF_MULTI_QUEUE);
	CU_ASSERT_EQUAL(vio_port_tap_open(&cfg, &port), -EINVAL);
	CU_ASSERT_EQUAL(close(fds[0]), 0);
	CU_ASSERT_EQUAL(close(fds[1]), 0);
}

static int open_tap(const char *name, uint16_t pairs, struct vio_port **port)
{
	return vio_port_tap_open(&(struct vio_port_tap_config){.name = name, .pairs = pairs}, port);
}

static void test_by_name(void)
{
	struct vio_port *port, *other;

	CU_ASSERT_EQUAL(open_tap("a-name-too-long-for-it", 1, &port), -EINVAL);
	CU_ASSERT_EQUAL(open_tap("tap0", 257, &port), -EINVAL);
	CU_ASSERT_EQUAL(open_tap("lo", 1, &port), -EINVAL);
	MUST(open_tap(NULL, 1, &port)); /* a name of the kernel's choice */
	CU_ASSERT_NOT_EQUAL(if_nametoindex(vio_port_tap_name(port)), 0);
	CU_ASSERT_EQUAL(open_tap(vio_port_tap_name(port), 1, &other), -EBUSY);
	vio_port_close(port);
	CU_ASSERT_EQUAL(if_nametoindex("tap0"), 0); /* it goes with its port */

	netns_run("ip tuntap add single mode tap; ip tuntap add many mode tap multi_queue");
	CU_ASSERT_EQUAL(open_tap("single", 2, &port), -EINVAL);
	MUST(open_tap("single", 1, &port));
	vio_port_close(port);
	MUST(open_tap("many", 1, &port));
	vio_port_close(port);
	MUST(open_tap("many", 3, &port));
	vio_port_close(port);
	CU_ASSERT_NOT_EQUAL(if_nametoindex("single"), 0);
	CU_ASSERT_NOT_EQUAL(if_nametoindex("many"), 0);
	netns_run("ip link del single; ip link del many");
}

static void test_deleted(void)
{
	struct rig t;

	for (unsigned pairs = 1; pairs <= 4; pairs += 3) {
		rig_init(&t, pairs);
		deleted(&t, "ip link del tap0");
		rig_fini(&t);
	}
}

/*
 * A full port: what is sent waits in a slow queue behind a bridge, and counts against the send
 * buffer of the tap it came by.
 */
static bool slow_init(struct rig *t)
{
	int fd = tun_open("tap0", TAP_FLAGS), size = 8000;

	MUST(ioctl(fd, TUNSETSNDBUF, &size));
	fds_open(t, &fd, 1);
	netns_run("ip tuntap add slow mode tap && ip link set slow up");
	if (!netns_try("ip link add br0 type bridge && ip link set br0 up && "
		       "ip link set tap0 master br0 && ip link set slow master br0 && "
		       "tc qdisc add dev slow root tbf rate 4mbit burst 2000 limit 1000000")) {
		printf("left out: no bridge, or no tbf queue ");
		return false;
	}
	return true;
}

static void test_backpressure(void)
{
	uint8_t data[1000];
	unsigned sent = 0, waits = 0;
	int carrier;
	struct rig t;

	if (slow_init(&t)) {
		carrier = tun_open("slow", TAP_FLAGS); /* an open end to have a carrier */
		netns_run("for n in $(seq 100); do ip link show slow | grep -q 'state UP' && "
			  "break; sleep 0.05; done");
		fill(data, sizeof(data), 1);
		memset(data, 2, 6); /* to one address: the bridge passes it on, not a copy */
		for (unsigned turn = 0; turn < 1000 && sent < 100; turn++) {
			if (user_send(t.u[0], data, sizeof(data))) {
				sent++;
				continue;
			}
			t.u[0]->n_writable = 0;
			/* Trying again is allowed, and what comes next is not lost by it. */
			sent += user_send(t.u[0], data, sizeof(data));
			CU_ASSERT_EQUAL(t.u[0]->n_writable, 0);
			for (unsigned i = 0; i < 100 && !t.u[0]->n_writable; i++)
				vio_loop_manual_run(t.loop, 10);
			CU_ASSERT_EQUAL(t.u[0]->n_writable, 1);
			CU_ASSERT_EQUAL(vio_loop_manual_run(t.loop, 0), 0); /* told once */
			waits++;
		}
		CU_ASSERT(sent >= 100);
		CU_ASSERT(waits > 0);
		printf("(%u waits) ", waits);
		/* Deleted while a sender waits: it is told, and what it sends is dropped. */
		for (unsigned i = 0; i < 1000 && user_send(t.u[0], data, sizeof(data)); i++)
			;
		t.u[0]->n_writable = 0;
		netns_run("ip link del tap0");
		for (unsigned i = 0; i < 100 && !t.u[0]->n_writable; i++)
			vio_loop_manual_run(t.loop, 10);
		CU_ASSERT_EQUAL(t.u[0]->n_writable, 1);
		CU_ASSERT_TRUE(user_send(t.u[0], data, sizeof(data)));
		user_settle(t.u[0]);
		CU_ASSERT_EQUAL(t.n_down, 1);
		close(carrier);
	}
	rig_fini(&t);
	netns_try("ip link del br0; ip link del slow");
}

static void test_memory_of_the_room_is_gone(void)
{
	struct rig t;

	rig_init(&t, 1);
	memory_gone(&t);
	rig_fini(&t);
}

static CU_TestInfo tests[] = {
	{"both ways", test_both_ways},
	{"any number of pieces", test_pieces},
	{"no room", test_no_room},
	{"batches", test_batch},
	{"longer than the room", test_too_long},
	{"off, detach", test_off_and_detach},
	{"interface down", test_down},
	{"by descriptor", test_by_fd},
	{"descriptors that will not do", test_wrong_fd},
	{"by name", test_by_name},
	{"deleted", test_deleted},
	{"backpressure", test_backpressure},
	{"memory of the room is gone", test_memory_of_the_room_is_gone},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return rig_suite("tap", tests);
}
