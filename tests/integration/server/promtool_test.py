#!/usr/bin/env python3
"""What Prometheus' own checker thinks of /metrics. Debian's package of it is large, so it is not installed for this."""

import shutil
import subprocess

import hub


class Promtool(hub.HubTest):

    def test_promtool_has_nothing_to_say(self):
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("promtool is not installed (Debian package prometheus)")
        server = self.start()
        server.create_topic("t")
        server.send("t", b"v")
        checked = subprocess.run([promtool, "check", "metrics"], input=server.get("/metrics")[1], text=True,
                                 capture_output=True, check=False)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))


if __name__ == "__main__":
    hub.main()
