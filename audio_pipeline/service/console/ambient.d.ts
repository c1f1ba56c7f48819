// What the console uses of its vendored packages, for the type checker.

declare module "preact" {
  export type Child = object | string | number | boolean | null | undefined | Child[];
  export function h(type: any, props: Record<string, any> | null, ...children: Child[]): object;
  export function render(child: Child, parent: Element): void;
}

declare module "preact/hooks" {
  export function useState<T>(first: T | (() => T)): [T, (next: T | ((before: T) => T)) => void];
  export function useRef<T>(first: T): { current: T };
  export function useMemo<T>(make: () => T, inputs: readonly unknown[]): T;
  export function useEffect(run: () => void | (() => void), inputs?: readonly unknown[]): void;
  export function useLayoutEffect(run: () => void | (() => void), inputs?: readonly unknown[]): void;
}

declare module "htm" {
  const htm: {
    bind(h: typeof import("preact").h): (strings: TemplateStringsArray, ...values: any[]) => import("preact").Child;
  };
  export default htm;
}

declare module "@preact/signals-core" {
  export interface ReadonlySignal<T> {
    readonly value: T;
    peek(): T;
    subscribe(run: (value: T) => void): () => void;
  }
  export interface Signal<T> extends ReadonlySignal<T> {
    value: T;
  }
  export function signal<T>(first: T): Signal<T>;
  export function computed<T>(run: () => T): ReadonlySignal<T>;
  export function effect(run: () => void | (() => void)): () => void;
  export function batch<T>(run: () => T): T;
}

declare module "uplot" {
  export default class uPlot {
    constructor(options: Record<string, any>, data: (number | null)[][], target: HTMLElement);
    setData(data: (number | null)[][]): void;
    setSize(size: { width: number; height: number }): void;
    destroy(): void;
  }
}
