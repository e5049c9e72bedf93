/**
 * What a library may ask of Deno without making it ask the user.
 *
 * @module
 */

/** Whether the program may do something. */
export function isGranted(permission: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}

/** An environment variable, if it may be read and is not empty. */
export function environmentVariable(name: string): string | undefined {
  const isReadable = isGranted({ name: "env", variable: name });
  return isReadable ? Deno.env.get(name) || undefined : undefined;
}
