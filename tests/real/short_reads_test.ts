import { assertEquals } from "@std/assert";
import { Child } from "./child.ts";

Deno.test({
  name: "a file that the system gives in pieces is read whole",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // A page a call, and the same each time. Deno asks for all there is to read it.
    await using child = new Child("read_whole", {
      args: ["/proc/kallsyms"],
      permissions: ["--allow-all"],
    });
    await child.line('{"whole":true,"same":true,"short":true}');
    const { code } = await child.ended();
    assertEquals([code, await child.stderr], [0, ""]);
  },
});
