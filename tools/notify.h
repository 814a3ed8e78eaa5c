/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TOOLS_NOTIFY_H
#define TOOLS_NOTIFY_H

/*
 * Tells the service manager how the daemon is: systemd's protocol, one datagram of KEY=VALUE lines
 * (such as "READY=1") to the socket that the environment names in NOTIFY_SOCKET. Without one, or
 * when it does not listen, nothing happens.
 */
void notify(const char *state);

#endif
