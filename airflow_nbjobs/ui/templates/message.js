if (document.documentElement.dataset.passing === "true") setTimeout(() => window.location.reload(), 5000);
